//go:build linux

package main

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/labstack/echo/v4"
)

// floorCommand is contender d: only HTTP and verification. It stores nothing,
// so nothing that keeps the promises can be faster on this stack.
func floorCommand(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("floor", flag.ContinueOnError)
	keyFile := flags.String("key", "", "file with the public key")
	if err := flags.Parse(args); err != nil {
		return err
	}
	key, err := readPublicKey(*keyFile)
	if err != nil {
		return err
	}
	e := echo.New()
	e.POST("/alipay/notify", func(c echo.Context) error {
		form, err := c.FormParams()
		if err != nil {
			return c.String(http.StatusBadRequest, "fail")
		}
		if err := verifyMessage(key, form); err != nil {
			return c.String(http.StatusUnauthorized, "fail")
		}
		return c.String(http.StatusOK, "success")
	})
	return serveUntil(ctx, e)
}

// verifyMessage checks a message's signature by the rule that keeps sign_type.
func verifyMessage(key *rsa.PublicKey, form url.Values) error {
	sign, err := base64.StdEncoding.DecodeString(form.Get("sign"))
	if err != nil {
		return err
	}
	names := make([]string, 0, len(form))
	for name := range form {
		if name != "sign" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	text := make([]byte, 0, 1024)
	for i, name := range names {
		if i > 0 {
			text = append(text, '&')
		}
		text = append(text, name...)
		text = append(text, '=')
		text = append(text, form.Get(name)...)
	}
	digest := sha256.Sum256(text)
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], sign)
}

// serveUntil serves on a port of the kernel's choice, says it on stderr in the
// receiver's words, and stops with ctx.
func serveUntil(ctx context.Context, h http.Handler) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, `{"message":"listening","listen":%q}`+"\n", listener.Addr())
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 60 * time.Second}
	stop := context.AfterFunc(ctx, func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		s.Shutdown(limit) //nolint:errcheck // the process ends either way
	})
	defer stop()
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
