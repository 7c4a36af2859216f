package explain_test

import (
	"encoding/base64"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/explain"
	"alipay-notify/internal/verify"
)

// sentAt is when the notifications of these tests are sent.
var sentAt = time.Date(2024, 3, 9, 1, 2, 3, 456e6, time.UTC)

const otherAppID = "2021000000000002"

// world is two apps as the stand-in for Alipay has them, and as they are
// configured.
type world struct {
	app, other *alipaytest.App
	apps       []explain.App
}

var shared = sync.OnceValue(func() (w *world) {
	keys := make([]*alipaytest.Key, 4)
	for i := range keys {
		var err error
		if keys[i], err = alipaytest.GenerateKey(2048); err != nil {
			panic(err)
		}
	}
	w = &world{
		app:   &alipaytest.App{ID: alipaytest.DefaultAppID, Key: keys[0], OwnKey: keys[1], AESKey: alipaytest.NewAESKey()},
		other: &alipaytest.App{ID: otherAppID, Key: keys[2], OwnKey: keys[3], AESKey: alipaytest.NewAESKey()},
	}
	for _, a := range []*alipaytest.App{w.app, w.other} {
		w.apps = append(w.apps, explain.App{
			ID: a.ID, Keys: []verify.PublicKey{publicKey(a.Key)}, OwnKeys: []verify.PublicKey{publicKey(a.OwnKey)},
			AESKeys: []verify.AESKey{aesKey(a.AESKey)}, AnswersChecks: true,
		})
	}
	return w
})

func publicKey(k *alipaytest.Key) verify.PublicKey {
	key, err := verify.ParsePublicKey(k.PublicPEM())
	if err != nil {
		panic(err)
	}
	return key
}

// input is a request to these apps, judged when it was sent.
func (w *world) input(body []byte) explain.Input {
	return explain.Input{
		Body: body, ContentType: "application/x-www-form-urlencoded; charset=UTF-8",
		Apps: slices.Clone(w.apps), At: sentAt, MaxSignedAge: 72 * time.Hour,
	}
}

// form is a genuine one, the same in every run but for its signature.
func (w *world) form(t testing.TB, typ string, opts alipaytest.Options) alipaytest.Form {
	t.Helper()
	opts.Time, opts.Rand = sentAt, rand.New(rand.NewPCG(1, 2))
	form, err := w.app.Notification(t, typ, opts).Form(sentAt)
	if err != nil {
		t.Fatal(err)
	}
	return form
}

// trade is a trade notification with values of the test's choice.
func (w *world) trade(t testing.TB, fields ...alipaytest.Field) alipaytest.Form {
	t.Helper()
	return w.form(t, "trade.status_changed", alipaytest.Options{Payload: fields})
}

// message is one of the message service.
func (w *world) message(t testing.TB, fields ...alipaytest.Field) alipaytest.Form {
	t.Helper()
	return w.form(t, "voucher.received", alipaytest.Options{Payload: fields})
}

func get(t testing.TB, f alipaytest.Form, name string) string {
	t.Helper()
	value, ok := f.Get(name)
	if !ok {
		t.Fatalf("the form has no %s", name)
	}
	return value
}

// edit changes one value.
func edit(t testing.TB, f alipaytest.Form, name string, change func(string) string) alipaytest.Form {
	t.Helper()
	old := get(t, f, name)
	changed := change(old)
	if changed == old {
		t.Fatalf("the damage does not change %s: %q", name, old)
	}
	return f.With(name, changed)
}

// editAll changes all values but sign.
func editAll(f alipaytest.Form, change func(string) string) alipaytest.Form {
	out := slices.Clone(f)
	for i := range out {
		if out[i].Name != "sign" {
			out[i].Value = change(out[i].Value)
		}
	}
	return out
}

func codes(r explain.Report) []string {
	var out []string
	for _, c := range r.Causes {
		out = append(out, c.Code)
	}
	return out
}

func state(t testing.TB, r explain.Report, check string) explain.State {
	t.Helper()
	for _, s := range r.Steps {
		if s.Check == check {
			return s.State
		}
	}
	t.Fatalf("no step %s in %v", check, r.Steps)
	return ""
}

// wantProved expects these causes, all of them proved, and first.
func wantProved(t *testing.T, r explain.Report, want ...string) {
	t.Helper()
	got := codes(r)
	if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Fatalf("causes are %v, want %v first\nsteps: %+v\nwork: %+v", got, want, r.Steps, r.Work)
	}
	for i, c := range r.Causes {
		if i < len(want) && !c.Proved {
			t.Errorf("%s is not proved", c.Code)
		}
		if i >= len(want) && c.Proved {
			t.Errorf("%s is proved, too", c.Code)
		}
		if c.What == "" || c.Try == "" || c.Fault < 0 || c.Fault > 20 {
			t.Errorf("%s is incomplete: %+v", c.Code, c)
		}
	}
	if r.Accepted {
		t.Error("it is called accepted")
	}
}

func encode64(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }

func aesKey(raw []byte) verify.AESKey {
	key, err := verify.ParseAESKey([]byte(base64.StdEncoding.EncodeToString(raw)))
	if err != nil {
		panic(err)
	}
	return key
}
