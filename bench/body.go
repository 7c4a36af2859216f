//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	appID = "2021000000000001"
	// method is a message with a payload of middle size: about 1 KB signed.
	method = "alipay.marketing.activity.message.received"
	// activities is how many subjects the events of a run have.
	activities = 1000

	idPrefix = "20261121002220830010" // notify_ids have 34 digits
)

// notifyID names body i, and indexOf finds it again.
func notifyID(i int) string { return fmt.Sprintf("%s%014d", idPrefix, i) }

func indexOf(id string) (int, error) {
	digits, ok := strings.CutPrefix(id, idPrefix)
	if !ok {
		return 0, fmt.Errorf("the id %q is none of ours", id)
	}
	return strconv.Atoi(digits)
}

// fields are those of a message as Alipay sends them, version 1.1.
func fields(i int, now time.Time) map[string]string {
	activity := fmt.Sprintf("20161227008260045084%08d", i%activities)
	millis := strconv.FormatInt(now.UnixMilli(), 10)
	return map[string]string{
		"app_id": appID, "charset": "UTF-8", "msg_method": method, "notify_id": notifyID(i),
		"sign_type": "RSA2", "utc_timestamp": millis, "version": "1.1",
		"biz_content": fmt.Sprintf(`{"id":"RECEIVED_%s%08d","activity_id":"%s","event_time":"%s","voucher_id":"2026112100073002%014d","voucher_code":"%012d","receive_user_id":"2088%012d"}`,
			activity, i, activity, millis, i, i, i%1_000_000),
	}
}

// wireOrder is the order of the fields in captures; it has no meaning.
var wireOrder = []string{"charset", "biz_content", "utc_timestamp", "sign", "app_id", "version", "sign_type", "notify_id", "msg_method"}

// signedBody signs a message as its captures are: with sign_type in the signed
// string.
func signedBody(key *rsa.PrivateKey, i int, now time.Time) ([]byte, error) {
	f := fields(i, now)
	var text []byte
	for _, name := range slices.Sorted(maps.Keys(f)) {
		text = append(text, '&')
		text = append(text, name+"="+f[name]...)
	}
	digest := sha256.Sum256(text[1:])
	sign, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		return nil, err
	}
	f["sign"] = base64.StdEncoding.EncodeToString(sign)
	var body bytes.Buffer
	for _, name := range wireOrder {
		if body.Len() > 0 {
			body.WriteByte('&')
		}
		body.WriteString(name + "=" + url.QueryEscape(f[name]))
	}
	return body.Bytes(), nil
}

// signAll writes count bodies, one a line, and the public key beside them.
func signAll(ctx context.Context, file, keyFile string, count int) error {
	progress("signing %d bodies", count)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	if err := writePublicKey(keyFile, &key.PublicKey); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	now := time.Now()
	const batch = 1024 // between two looks at ctx
	for first := 0; first < count; first += batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		bodies, err := signBatch(key, first, min(batch, count-first), now)
		if err != nil {
			return err
		}
		for _, b := range bodies {
			w.Write(b)        //nolint:errcheck // Flush tells
			w.WriteByte('\n') //nolint:errcheck // Flush tells
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

func signBatch(key *rsa.PrivateKey, first, count int, now time.Time) ([][]byte, error) {
	bodies := make([][]byte, count)
	workers := runtime.NumCPU()
	errs := make([]error, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := w; i < count && errs[w] == nil; i += workers {
				bodies[i], errs[w] = signedBody(key, first+i, now)
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return bodies, nil
}

func writePublicKey(file string, key *rsa.PublicKey) error {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600)
}

func readPublicKey(file string) (*rsa.PublicKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", file)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no RSA key", file)
	}
	return public, nil
}
