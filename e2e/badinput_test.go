//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/alipaytest"
)

// badInput is one request that must become nothing but a log line.
type badInput struct {
	name    string
	change  func(b *forgery)
	status  int
	outcome string
	reason  string
}

// forgery is a genuine request about to be spoilt.
type forgery struct {
	method, url string
	header      http.Header
	form        alipaytest.Form // what is sent unless body says otherwise
	body        io.Reader

	t   *testing.T
	app *alipaytest.App
}

// sign signs the form as Alipay would, so that something else has to be what is
// wrong with it.
func (b *forgery) sign(key *alipaytest.Key, how alipaytest.Signing) {
	b.t.Helper()
	var err error
	if b.form, err = key.SignForm(b.form, how); err != nil {
		b.t.Fatal(err)
	}
}

func (b *forgery) set(name, value string) { b.form = b.form.With(name, value) }

func (b *forgery) value(name string) string {
	b.t.Helper()
	v, ok := b.form.Get(name)
	if !ok {
		b.t.Fatalf("the form has no %s", name)
	}
	return v
}

func (b *forgery) text(s string) { b.body = strings.NewReader(s) }

func without(name string) func(*forgery) {
	return func(b *forgery) { b.form = b.form.Without(name) }
}

func headed(name, value string) func(*forgery) {
	return func(b *forgery) { b.header.Set(name, value) }
}

func text(s string) func(*forgery) { return func(b *forgery) { b.text(s) } }

// merge puts two neighbours of the signed string into one value. The signature
// still fits: signed values are not escaped.
func merge(name, next string) func(*forgery) {
	return func(b *forgery) {
		b.set(name, b.value(name)+"&"+next+"="+b.value(next))
		b.form = b.form.Without(next)
	}
}

// big is a body over the default limit of 256 KiB.
func big() *strings.Reader { return strings.NewReader("a=" + strings.Repeat("x", 256<<10)) }

// badInputs is the table: what strangers, proxies and mistakes send. Those at
// the end carry a genuine signature.
var badInputs = []badInput{
	{"GET", func(b *forgery) { b.method, b.body = http.MethodGet, http.NoBody }, 405, "malformed", "method"},
	{"GET with the fields in the URL", func(b *forgery) {
		b.method, b.body, b.url = http.MethodGet, http.NoBody, b.url+"?"+string(b.form.Encode())
	}, 405, "malformed", "method"},
	{"PUT", func(b *forgery) { b.method = http.MethodPut }, 405, "malformed", "method"},
	{"JSON content type", headed("Content-Type", "application/json"), 400, "malformed", "content_type"},
	{"multipart", headed("Content-Type", "multipart/form-data; boundary=x"), 400, "malformed", "content_type"},
	{"content encoding", headed("Content-Encoding", "gzip"), 400, "malformed", "content_encoding"},
	{"nothing", text(""), 400, "malformed", "missing_sign"},
	{"rubbish", text("\x00\xff\r\n<?php"), 400, "malformed", "missing_sign"},
	{"a JSON body in a form's clothes", text(`{"notify_id":"1","sign":"x"}`), 400, "malformed", "missing_sign"},
	{"fields in the query string alone", func(b *forgery) {
		b.body, b.url = http.NoBody, b.url+"?"+string(b.form.Encode())
	}, 400, "malformed", "missing_sign"},
	{"broken percent-encoding", func(b *forgery) { b.text(string(b.form.Encode()) + "&x=%zz") }, 400, "malformed", "bad_encoding"},
	{"cut percent-encoding", func(b *forgery) { b.text(string(b.form.Encode()) + "&x=%4") }, 400, "malformed", "bad_encoding"},
	{"a field twice, the same", func(b *forgery) {
		b.form = append(b.form, alipaytest.Field{Name: "notify_id", Value: b.value("notify_id")})
	}, 400, "malformed", "repeated_field"},
	{"a field twice, another", func(b *forgery) {
		b.form = append(b.form, alipaytest.Field{Name: "biz_content", Value: "{}"})
	}, 400, "malformed", "repeated_field"},
	{"300 fields", func(b *forgery) {
		for i := range 300 {
			b.set(fmt.Sprint("f", i), "x")
		}
	}, 400, "malformed", "too_many_fields"},
	{"no sign", without("sign"), 400, "malformed", "missing_sign"},
	{"no app_id", without("app_id"), 400, "malformed", "missing_app_id"},
	{"no notify_id", without("notify_id"), 400, "malformed", "missing_notify_id"},
	{"no msg_method", without("msg_method"), 400, "malformed", "not_a_notification"},
	{"no biz_content", without("biz_content"), 400, "malformed", "missing_biz_content"},
	{"no utc_timestamp", without("utc_timestamp"), 400, "malformed", "missing_utc_timestamp"},
	{"too large", func(b *forgery) { b.body = big() }, 413, "too_large", "body"},
	{"too large, of unknown length", func(b *forgery) { b.body = io.MultiReader(big()) }, 413, "too_large", "body"},

	{"no charset", without("charset"), 401, "refused", "bad_signature"},
	{"no sign_type, which was signed", func(b *forgery) {
		b.set("version", "1.0")
		b.form = b.form.Without("sign_type")
	}, 401, "refused", "bad_signature"},
	{"a changed field", func(b *forgery) {
		b.set("biz_content", strings.Replace(b.value("biz_content"), "ORDERSEND_", "ORDERSENT_", 1))
	}, 401, "refused", "bad_signature"},
	{"one more field", func(b *forgery) { b.set("msg_type", "sys") }, 401, "refused", "bad_signature"},
	{"no base64", func(b *forgery) { b.set("sign", "not/base64!") }, 401, "refused", "signature_format"},
	{"a space for a plus in the signature", func(b *forgery) { b.set("sign", " "+b.value("sign")[1:]) }, 401, "refused", "signature_format"},
	{"an app that is not configured", func(b *forgery) {
		b.set("app_id", "2021000000000002")
		b.sign(b.app.Key, alipaytest.Signing{})
	}, 401, "refused", "unknown_app"},
	{"another app in the URL", func(b *forgery) { b.url += "/2021000000000002" }, 401, "refused", "app_mismatch"},
	{"another key", func(b *forgery) { b.sign(b.app.OwnKey, alipaytest.Signing{}) }, 401, "refused", "bad_signature"},

	{"sign_type RSA", func(b *forgery) {
		b.sign(b.app.Key, alipaytest.Signing{SignType: alipaytest.RSA})
	}, 401, "refused", "algorithm"},
	{"a SHA-1 signature that says RSA2", func(b *forgery) {
		b.sign(b.app.Key, alipaytest.Signing{SignType: alipaytest.RSA, Rule: alipaytest.DropSignType})
		b.set("sign_type", "RSA2")
	}, 401, "refused", "bad_signature"},
	{"a SHA-1 signature that says nothing", func(b *forgery) {
		b.sign(b.app.Key, alipaytest.Signing{SignType: alipaytest.RSA, Rule: alipaytest.InsertSignType})
	}, 401, "refused", "bad_signature"},
	{"older than 72 h", func(b *forgery) {
		b.set("utc_timestamp", fmt.Sprint(time.Now().Add(-73*time.Hour).UnixMilli()))
		b.sign(b.app.Key, alipaytest.Signing{})
	}, 401, "refused", "stale"},
	{"no key decrypts it", func(b *forgery) {
		cipher, err := alipaytest.EncryptAES(alipaytest.NewAESKey(), []byte(b.value("biz_content")))
		if err != nil {
			b.t.Fatal(err)
		}
		b.set("biz_content", cipher)
		b.set("encrypt_type", "AES")
		b.sign(b.app.Key, alipaytest.Signing{})
	}, 401, "refused", "undecryptable"},
	{"notify_id merged with sign_type", merge("notify_id", "sign_type"), 400, "malformed", "bad_notify_id"},
	{"utc_timestamp merged with version", merge("utc_timestamp", "version"), 400, "malformed", "bad_utc_timestamp"},
	{"biz_content merged with charset", merge("biz_content", "charset"), 400, "malformed", "bad_biz_content"},
	{"biz_content split in two", func(b *forgery) {
		// What follows the & of its out_biz_no becomes a field of its own.
		head, rest, _ := strings.Cut(b.value("biz_content"), "&")
		name, value, _ := strings.Cut(rest, "=")
		b.set("biz_content", head)
		b.set(name, value)
	}, 400, "malformed", "bad_biz_content"},
}

// TestBadInput sends the table, and a body that comes too slowly, all with the
// notify_id of one genuine notification. Each is answered as the contract says
// and logged in one line that says why; none leaves anything behind; and the
// genuine one, which comes last, is taken as if they had never been.
func TestBadInput(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	config, redis, _ := external(t, app)
	r := ready(t, config)
	n := voucher(t, app)
	n.SetPayload("out_biz_no", "a&by=b") // where a split can begin
	form, err := n.Form(time.Now())
	if err != nil {
		t.Fatal(err)
	}

	for i, c := range badInputs {
		t.Run(c.name, func(t *testing.T) {
			b := &forgery{
				method: http.MethodPost, url: r.url, header: http.Header{"Content-Type": {formType}},
				form: form, t: t, app: app,
			}
			c.change(b)
			got := b.send(t, r.client)
			got.want(t, c.status, "fail")
			if allow := got.header.Get("Allow"); (allow == http.MethodPost) != (c.status == http.StatusMethodNotAllowed) {
				t.Errorf("Allow %q with status %d", allow, c.status)
			}
			wantLogged(t, r, i+1, c.status, c.outcome, c.reason)
		})
	}
	t.Run("a body that comes too slowly", func(t *testing.T) {
		slowBody(t, r, form.Encode())
		wantLogged(t, r, len(badInputs)+1, http.StatusBadRequest, "malformed", "slow_body")
	})

	if events, keys := r.events(t), redis.keys(t); len(events) > 0 || len(keys) > 0 {
		t.Errorf("they left %d events and the keys %v, want nothing", len(events), keys)
	}
	wantKept(t, jetStream(t, r.nats, ""), "ALIPAY_QUARANTINE", "quarantine."+app.ID+".stale", "quarantine."+app.ID+".undecryptable")
	wantKept(t, jetStream(t, r.nats, ""), "ALIPAY_REJECTS", "rejects."+app.ID+".bad_signature", "rejects._unknown.unknown_app")

	r.send(t, n).want(t, http.StatusOK, "success")
	if e := r.logged(t, len(badInputs)+2); e.text("outcome") != "accepted" {
		t.Errorf("the genuine one is logged as %v, want accepted", e)
	}
	wantOnce(t, ids(r.events(t)), []string{n.ID()})
	if lines := r.lines("notification"); len(lines) != len(badInputs)+2 {
		t.Errorf("%d log lines, want one for each of %d requests", len(lines), len(badInputs)+2)
	}
}

// wantKept waits until a stream of what was not accepted has these subjects.
func wantKept(t *testing.T, js jetstream.JetStream, stream string, subjects ...string) {
	t.Helper()
	for _, subject := range subjects {
		eventually(t, stream+" keeps alipay."+subject, func() bool {
			s, err := js.Stream(t.Context(), stream)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.GetLastMsgForSubject(t.Context(), "alipay."+subject)
			return err == nil
		})
	}
}

func (b *forgery) send(t *testing.T, client *http.Client) reply {
	t.Helper()
	if b.body == nil {
		b.body = bytes.NewReader(b.form.Encode())
	}
	request, err := http.NewRequestWithContext(t.Context(), b.method, b.url, b.body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = b.header
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, answer)
}

func wantLogged(t *testing.T, r *receiver, n, status int, outcome, reason string) {
	t.Helper()
	e := r.logged(t, n)
	if e.text("outcome") != outcome || e.text("reason") != reason || e["status"] != float64(status) {
		t.Errorf("logged %v, want outcome %s, reason %s, status %d", e, outcome, reason, status)
	}
}

// slowBody sends half a body and then nothing. The reply comes after five
// seconds, and the connection is closed.
func slowBody(t *testing.T, r *receiver, body []byte) {
	t.Helper()
	target, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", target.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		target.Path, formType, len(body), body[:len(body)/2])
	if err := conn.SetReadDeadline(began.Add(patience)); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	read(t, answer).want(t, http.StatusBadRequest, "fail")
	if took < 4*time.Second || took > 8*time.Second {
		t.Errorf("the reply took %v, want about 5 s", took)
	}
	if !answer.Close {
		t.Error("the connection stays open")
	}
}

// TestStrangeButGenuine sends what looks wrong and is not: content types that
// gateways lose or rewrite, a query string that does not count, fields in any
// order.
func TestStrangeButGenuine(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	r := ready(t, newConfig(t, app))
	var want []string
	for name, change := range map[string]func(*forgery){
		"no content type":       func(b *forgery) { b.header.Del("Content-Type") },
		"text/plain":            headed("Content-Type", "text/plain"),
		"a query string":        func(b *forgery) { b.url += "?notify_id=other&sign=x" },
		"the app in the URL":    func(b *forgery) { b.url += "/" + b.app.ID },
		"an empty field beside": func(b *forgery) { b.sign(b.app.Key, alipaytest.Signing{}); b.set("msg_uid", "") },
		"a chunked body":        func(b *forgery) { b.body = io.MultiReader(bytes.NewReader(b.form.Encode())) },
		"fields from the last to the first": func(b *forgery) {
			for i, j := 0, len(b.form)-1; i < j; i, j = i+1, j-1 {
				b.form[i], b.form[j] = b.form[j], b.form[i]
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := voucher(t, app)
			form, err := n.Form(time.Now())
			if err != nil {
				t.Fatal(err)
			}
			b := &forgery{method: http.MethodPost, url: r.url, header: http.Header{"Content-Type": {formType}}, form: form, t: t, app: app}
			change(b)
			b.send(t, r.client).want(t, http.StatusOK, "success")
			want = append(want, n.ID())
		})
	}
	wantOnce(t, ids(r.events(t)), want)
}

// TestHostileKey sends a genuine notification whose key holds everything that
// means something to NATS or to a header: the subject is made harmless, and
// ce-subject and data keep the value.
func TestHostileKey(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	r := ready(t, newConfig(t, app))
	for _, c := range []struct{ key, token string }{
		{"*", "_"},
		{"a.>", "a__"},
		{"..", "__"},
		{"a b\tc", "a_b_c"},
		{"x\r\nNats-Msg-Id: forged\r\n\r\ny", "x__Nats-Msg-Id__forged____y"},
		{"\x00\x01\x1f\x7f", "____"},
		{`50%"off"`, "50__off_"},
		{"活动", "______"},
		{strings.Repeat("k", 300), strings.Repeat("k", 128)},
	} {
		n := voucher(t, app)
		n.SetPayload("activity_id", c.key)
		r.send(t, n).want(t, http.StatusOK, "success")
		events := r.events(t)
		e := events[len(events)-1]
		if want := "alipay.events." + app.ID + ".voucher.created." + c.token; e.Subject != want {
			t.Errorf("key %q: subject %s, want %s", c.key, e.Subject, want)
		}
		if got, err := url.PathUnescape(header(e, "ce-subject")); err != nil || got != c.key {
			t.Errorf("key %q: ce-subject %q reads %q (%v)", c.key, header(e, "ce-subject"), got, err)
		}
		if got := dataOf(t, e)["activity_id"]; got != c.key {
			t.Errorf("key %q: data has %q", c.key, got)
		}
		if got, want := header(e, "Nats-Msg-Id"), app.ID+":"+n.ID(); got != want {
			t.Errorf("key %q: Nats-Msg-Id %q, want %q", c.key, got, want)
		}
	}
}
