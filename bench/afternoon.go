//go:build linux

package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/smartwalle/alipay/v3"
	"github.com/smartwalle/nsign"
)

// afternoon is contender c: the handler that a competent engineer writes in an
// afternoon. It keeps weaker promises than the receiver: the id is marked as
// seen before the event is stored, so a crash between the two loses it; no
// claim, no commit, no fingerprint, no proof, no copy of the request, no
// grammar, one rule for all messages. It marks, publishes and logs once each.
type afternoon struct {
	client   *alipay.Client
	messages nsign.Signer
	redis    *redis.Client
	js       jetstream.JetStream
	log      zerolog.Logger
}

func afternoonCommand(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("afternoon", flag.ContinueOnError)
	keyFile := flags.String("key", "", "file with the public key")
	redisAddr := flags.String("redis", "", "host:port")
	natsURL := flags.String("nats", "", "URL")
	level := flags.String("log-level", "info", "level of the log")
	if err := flags.Parse(args); err != nil {
		return err
	}
	a, err := newAfternoon(*keyFile, *redisAddr, *natsURL, *level)
	if err != nil {
		return err
	}
	e := echo.New()
	e.POST("/alipay/notify", a.handle)
	return serveUntil(ctx, e)
}

func newAfternoon(keyFile, redisAddr, natsURL, level string) (*afternoon, error) {
	key, err := readPublicKey(keyFile)
	if err != nil {
		return nil, err
	}
	client, err := newAlipay(keyFile)
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(natsURL, nats.MaxReconnects(-1))
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	least, err := zerolog.ParseLevel(level)
	if err != nil {
		return nil, err
	}
	return &afternoon{
		client:   client,
		messages: messageSigner(key),
		redis:    redis.NewClient(&redis.Options{Addr: redisAddr}),
		js:       js,
		log:      zerolog.New(os.Stderr).Level(least).With().Timestamp().Logger(),
	}, nil
}

// messageSigner verifies messages. The library's VerifySign leaves sign_type out
// of the signed string, which is right for the payment notifications that it was
// written for, and refuses every plain message of version 1.1. The same engine
// takes other names to ignore, so messages go to it directly: one RSA either way.
func messageSigner(key *rsa.PublicKey) nsign.Signer {
	return nsign.New(nsign.WithMethod(nsign.NewRSAMethod(crypto.SHA256, nil, key)), nsign.WithEncoder(&nsign.DefaultEncoder{}))
}

// newAlipay makes the library's client, which wants a private key of ours
// though nothing here signs.
func newAlipay(keyFile string) (*alipay.Client, error) {
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	client, err := alipay.New(appID, base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(own)), true)
	if err != nil {
		return nil, err
	}
	public, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	return client, client.LoadAliPayPublicKey(string(public))
}

func (a *afternoon) handle(c echo.Context) error {
	started := time.Now()
	form, err := c.FormParams()
	if err != nil {
		return c.String(http.StatusBadRequest, "fail")
	}
	id := form.Get("notify_id")
	stored, err := a.accept(c.Request().Context(), id, form)
	status, word := http.StatusOK, "success"
	switch {
	case errors.Is(err, errSignature):
		status, word = http.StatusUnauthorized, "fail"
	case err != nil:
		status, word = http.StatusServiceUnavailable, "fail"
	}
	a.log.Info().Err(err).Str("event_id", id).Str("type", form.Get("msg_method")).Int("status", status).
		Bool("stored", stored).Dur("took_ms", time.Since(started)).Msg("notification")
	return c.String(status, word)
}

var errSignature = errors.New("the signature does not fit")

func (a *afternoon) verify(ctx context.Context, form url.Values) error {
	if form.Get("msg_method") == "" {
		if _, err := a.client.DecodeNotification(ctx, form); err != nil {
			return errors.Join(errSignature, err)
		}
		return nil
	}
	sign, err := base64.StdEncoding.DecodeString(form.Get("sign"))
	if err == nil {
		err = a.messages.VerifyValues(form, sign, nsign.WithIgnore("sign"))
	}
	if err != nil {
		return errors.Join(errSignature, err)
	}
	return nil
}

// accept stores a notification unless its id was seen before.
func (a *afternoon) accept(ctx context.Context, id string, form url.Values) (stored bool, err error) {
	if err := a.verify(ctx, form); err != nil {
		return false, err
	}
	content := form.Get("biz_content")
	var message struct {
		ActivityID string `json:"activity_id"`
	}
	if err := json.Unmarshal([]byte(content), &message); err != nil {
		return false, err
	}
	fresh, err := a.redis.SetNX(ctx, "notify:"+id, 1, 72*time.Hour).Result()
	if err != nil || !fresh {
		return false, err
	}
	_, err = a.js.PublishMsg(ctx, &nats.Msg{
		Subject: "alipay.events." + form.Get("app_id") + ".voucher.received." + message.ActivityID,
		Data:    []byte(content),
		Header: nats.Header{
			"Nats-Msg-Id": {form.Get("app_id") + ":" + id},
			"ce-id":       {id}, "ce-specversion": {"1.0"}, "ce-type": {form.Get("msg_method")},
			"ce-source": {"/alipay/" + form.Get("app_id")}, "ce-time": {sentAt(form)},
			"ce-datacontenttype": {"application/json"},
		},
	})
	if err != nil {
		a.redis.Del(context.WithoutCancel(ctx), "notify:"+id) // so that the next delivery is not taken for a duplicate
		return false, err
	}
	return true, nil
}

func sentAt(form url.Values) string {
	millis, err := strconv.ParseInt(form.Get("utc_timestamp"), 10, 64)
	if err != nil {
		return ""
	}
	return time.UnixMilli(millis).UTC().Format(time.RFC3339)
}
