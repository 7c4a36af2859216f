//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"

	"alipay-notify/internal/alipaytest"
)

// charsets are those that the 生活号 gateway speaks, and how to read them.
var charsets = map[alipaytest.Charset]encoding.Encoding{
	alipaytest.UTF8: encoding.Nop, alipaytest.GBK: simplifiedchinese.GBK, alipaytest.GB18030: simplifiedchinese.GB18030,
}

// gatewayApps is a receiver with three apps that share Alipay's key: one as it
// should be, one without a page to bind accounts, one without a private key.
func gatewayApps(t *testing.T) (r *receiver, app *alipaytest.App, plain, keyless string) {
	t.Helper()
	app = alipaytest.NewApp(t, "")
	config := newConfig(t, app)
	private, err := app.OwnKey.PrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	config.file(t, "app.pem", private)
	plain, keyless = "2021000000000002", "2021000000000003"
	keys := []string{"alipay.pem"}
	config.keys["apps"] = []any{
		map[string]any{"app_id": app.ID, "alipay_public_keys": keys, "private_key": "app.pem", "binding_url": bindingURL},
		map[string]any{"app_id": plain, "alipay_public_keys": keys, "private_key": "app.pem"},
		map[string]any{"app_id": keyless, "alipay_public_keys": keys},
	}
	return ready(t, config), app, plain, keyless
}

const bindingURL = "https://m.example.com/bind?from=alipay&then=/card"

// postTo posts a notification as of now to a path below the receiver's.
func postTo(t *testing.T, r *receiver, path string, n *alipaytest.Notification) reply {
	t.Helper()
	answer, err := r.client.Post(r.url+path, n.ContentType(), bytes.NewReader(bodyOf(t, n)))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, answer)
}

// signedAnswer takes a signed answer apart, has openssl verify the signature
// over the inner text as it stands, and gives that text in UTF-8.
func signedAnswer(t *testing.T, got reply, charset alipaytest.Charset, app *alipaytest.App) string {
	t.Helper()
	if want := "text/xml; charset=" + string(charset); got.status != http.StatusOK || got.header.Get("Content-Type") != want {
		t.Fatalf("got %d %q (%s), want 200 as %s", got.status, got.body, got.header.Get("Content-Type"), want)
	}
	shape := regexp.MustCompile(`(?s)^<\?xml version="1\.0" encoding="` + string(charset) + `"\?><alipay><response>(.*)</response>` +
		`<sign>([A-Za-z0-9+/]+=*)</sign><sign_type>RSA2</sign_type></alipay>$`)
	parts := shape.FindStringSubmatch(got.body)
	if parts == nil {
		t.Fatalf("the answer has another shape: %q", got.body)
	}
	signature, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	files := &config{dir: t.TempDir()}
	verified := run(t, "openssl", "dgst", "-sha256", "-verify", files.file(t, "public.pem", app.OwnKey.PublicPEM()),
		"-signature", files.file(t, "signature", signature), files.file(t, "inner", []byte(parts[1])))
	if verified.code != 0 {
		t.Errorf("openssl says %s%s of %q", verified.stdout, verified.stderr, got.body)
	}
	inner, err := charsets[charset].NewDecoder().String(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return inner
}

// TestGatewayCheck asks whether somebody is here, as Alipay's console does when
// the gateway's URL is saved. The answer is signed, whether the question was
// signed well or not; nothing is stored.
func TestGatewayCheck(t *testing.T) {
	t.Parallel()
	r, app, _, keyless := gatewayApps(t)
	key := "<biz_content>" + app.OwnKey.PublicBase64() + "</biz_content>"
	const failed = "<success>false</success><error_code>VERIFY_FAILED</error_code>"
	for charset := range charsets {
		t.Run(string(charset), func(t *testing.T) {
			options := alipaytest.Options{Charset: charset}
			check := app.Notification(t, "gateway.check", options)
			if got := signedAnswer(t, postTo(t, r, "", check), charset, app); got != "<success>true</success>"+key {
				t.Errorf("got %q, want success and the app's public key", got)
			}
			options.Key = app.OwnKey
			forged := app.Notification(t, "gateway.check", options)
			if got := signedAnswer(t, postTo(t, r, "", forged), charset, app); got != failed+key {
				t.Errorf("got %q, want VERIFY_FAILED and the app's public key", got)
			}
		})
	}

	t.Run("the app in the URL alone", func(t *testing.T) {
		check := app.Notification(t, "gateway.check", alipaytest.Options{})
		check.RemovePayload("AppId")
		if got := signedAnswer(t, postTo(t, r, "/"+app.ID, check), alipaytest.GBK, app); got != "<success>true</success>"+key {
			t.Errorf("got %q, want success and the app's public key", got)
		}
		postTo(t, r, "", check).want(t, http.StatusBadRequest, "fail")
	})
	t.Run("an app without a key of its own", func(t *testing.T) {
		check := app.Notification(t, "gateway.check", alipaytest.Options{AppID: keyless})
		postTo(t, r, "", check).want(t, http.StatusServiceUnavailable, "fail")
		// A stranger's was answered 503 too, and the alert for an outage rang.
		check = app.Notification(t, "gateway.check", alipaytest.Options{AppID: keyless, Key: app.OwnKey})
		postTo(t, r, "", check).want(t, http.StatusUnauthorized, "fail")
	})
	t.Run("nobody's app", func(t *testing.T) {
		check := app.Notification(t, "gateway.check", alipaytest.Options{AppID: "2021000000000009"})
		postTo(t, r, "", check).want(t, http.StatusUnauthorized, "fail")
	})
	t.Run("alipaysim", func(t *testing.T) {
		private, err := app.Key.PrivatePEM()
		if err != nil {
			t.Fatal(err)
		}
		args := []string{"send", "gateway.check", "--url", r.url, "--key", r.config.file(t, "alipay-private.pem", private), "--no-retry"}
		run(t, tools.alipaysim, args...).want(t, 0, "1 of 1 acknowledged")
		run(t, tools.alipaysim, append(args, "--app-id", keyless)...).want(t, 1)
	})

	if events := r.events(t); len(events) > 0 {
		t.Errorf("%d events are stored, want none", len(events))
	}
	js := jetStream(t, r.nats, r.config.token())
	if n := storedIn(t, js, "ALIPAY_QUARANTINE").Msgs; n > 0 {
		t.Errorf("%d requests are quarantined, want none", n)
	}
	if n := r.metric(t, "alipay_notify_notifications_total", `outcome="checked"`); n != float64(2*len(charsets)+2) {
		t.Errorf("%v requests are counted as checked, want %d", n, 2*len(charsets)+2)
	}
}

// TestGatewayEvents sends 生活号 events. Each becomes one event, and is
// acknowledged in signed XML, the second time as the first; who asks to bind an
// account gets the page for that.
func TestGatewayEvents(t *testing.T) {
	t.Parallel()
	r, app, plain, keyless := gatewayApps(t)
	var want []string // the ce-ids
	send := func(t *testing.T, path string, n *alipaytest.Notification) reply {
		t.Helper()
		form, err := n.Form(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		signed, err := alipaytest.SigningString(form, n.Signing())
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(signed) // these have no id of their own
		want = append(want, hex.EncodeToString(sum[:]))
		return postTo(t, r, path, n)
	}
	head := func(n *alipaytest.Notification, appID string) string {
		return "<XML><ToUserId><![CDATA[" + n.Payload("FromAlipayUserId") + "]]></ToUserId><AppId><![CDATA[" + appID + "]]></AppId><CreateTime>"
	}
	const ack = "</CreateTime><MsgType><![CDATA[ack]]></MsgType></XML>"
	wantAck := func(t *testing.T, inner string, n *alipaytest.Notification, appID string) {
		t.Helper()
		at, rest, found := strings.Cut(strings.TrimPrefix(inner, head(n, appID)), "</CreateTime>")
		if !strings.HasPrefix(inner, head(n, appID)) || !found || "</CreateTime>"+rest != ack || len(at) != 13 {
			t.Errorf("got %q, want the acknowledgement of %s", inner, n.Payload("FromAlipayUserId"))
		}
	}

	for charset := range charsets {
		t.Run(string(charset), func(t *testing.T) {
			n := app.Notification(t, "account.event", alipaytest.Options{Charset: charset})
			wantAck(t, signedAnswer(t, send(t, "", n), charset, app), n, app.ID)
			wantAck(t, signedAnswer(t, postTo(t, r, "", n), charset, app), n, app.ID) // a duplicate

			bind := app.Notification(t, "account.event", alipaytest.Options{Charset: charset, Payload: asksToBind})
			inner := signedAnswer(t, send(t, "", bind), charset, app)
			for _, part := range []string{
				head(bind, app.ID), "<MsgType><![CDATA[image-text]]></MsgType><ArticleCount>1</ArticleCount>",
				"<Url><![CDATA[" + bindingURL + "]]></Url>", "绑定会员", "<AuthType><![CDATA[loginAuth]]></AuthType>",
			} {
				if !strings.Contains(inner, part) {
					t.Errorf("the answer lacks %q: %q", part, inner)
				}
			}
		})
	}
	t.Run("no page to bind accounts", func(t *testing.T) {
		bind := app.Notification(t, "account.event", alipaytest.Options{AppID: plain, Payload: asksToBind})
		wantAck(t, signedAnswer(t, send(t, "", bind), alipaytest.GBK, app), bind, plain)
	})
	t.Run("an app without a key of its own", func(t *testing.T) {
		n := app.Notification(t, "account.event", alipaytest.Options{AppID: keyless})
		send(t, "", n).want(t, http.StatusOK, "success")
	})
	t.Run("the app in the URL alone", func(t *testing.T) {
		n := app.Notification(t, "account.event", alipaytest.Options{})
		n.RemovePayload("AppId")
		postTo(t, r, "", n).want(t, http.StatusBadRequest, "fail")
		wantAck(t, signedAnswer(t, send(t, "/"+app.ID, n), alipaytest.GBK, app), n, app.ID)
		postTo(t, r, "/2021000000000009", n).want(t, http.StatusUnauthorized, "fail")
	})
	t.Run("another app in the URL", func(t *testing.T) {
		n := app.Notification(t, "account.event", alipaytest.Options{})
		postTo(t, r, "/"+plain, n).want(t, http.StatusUnauthorized, "fail")
	})
	t.Run("forged", func(t *testing.T) {
		n := app.Notification(t, "account.event", alipaytest.Options{Key: app.OwnKey})
		postTo(t, r, "", n).want(t, http.StatusUnauthorized, "fail")
	})
	t.Run("a quote that would end its section", func(t *testing.T) {
		n := app.Notification(t, "account.event", alipaytest.Options{Payload: []alipaytest.Field{
			{Name: "FromAlipayUserId", Value: "]]></ToUserId><x>"},
		}})
		inner := signedAnswer(t, send(t, "", n), alipaytest.GBK, app)
		if want := "<ToUserId><![CDATA[]]]]><![CDATA[></ToUserId><x>]]></ToUserId>"; !strings.Contains(inner, want) {
			t.Errorf("got %q, want %s", inner, want)
		}
	})

	events := r.events(t)
	wantOnce(t, ids(events), want)
	for _, e := range events {
		if !regexp.MustCompile(`^alipay\.events\.\d+\.account\.event\.`).MatchString(e.Subject) {
			t.Errorf("subject %s", e.Subject)
		}
		if name, _ := dataOf(t, e)["UserInfo"].(map[string]any); name["user_name"] == "" || strings.ContainsRune(fmt.Sprint(name), '\uFFFD') {
			t.Errorf("data %s", e.Data)
		}
	}
}

// asksToBind is a click on the menu entry that binds a member's account.
var asksToBind = []alipaytest.Field{{Name: "EventType", Value: "click"}, {Name: "ActionParam", Value: "authentication"}}
