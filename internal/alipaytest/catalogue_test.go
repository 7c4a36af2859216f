package alipaytest_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/alipaytest"
)

// TestEverySignatureVerifiesWithOpenssl walks every type, rule, charset and
// sign type, from the posted bytes on.
func TestEverySignatureVerifiesWithOpenssl(t *testing.T) {
	t.Parallel()
	public := writeTemp(t, "public.pem", testKey(t).DevelopmentPublicPEM())
	digests := map[alipaytest.SignType]string{alipaytest.RSA2: "-sha256", alipaytest.RSA: "-sha1"}
	for _, typ := range alipaytest.Types() {
		t.Run(typ.Type, func(t *testing.T) {
			t.Parallel()
			for _, rule := range []alipaytest.Rule{alipaytest.KeepSignType, alipaytest.DropSignType, alipaytest.InsertSignType} {
				for _, charset := range []alipaytest.Charset{alipaytest.UTF8, alipaytest.GBK} {
					for signType, digest := range digests {
						n := newNotification(t, typ.Type, alipaytest.Options{
							Charset: charset, Signing: alipaytest.Signing{SignType: signType, Rule: rule},
						})
						form := signedForm(t, n, sentAt)
						sign, err := base64.StdEncoding.DecodeString(get(t, form, "sign"))
						if err != nil {
							t.Fatal(err)
						}
						text := signedText(t, form.Encode(), string(signType), rule)
						out, err := openssl(t, []byte(text), "dgst", digest, "-verify", public,
							"-signature", writeTemp(t, "sign", sign))
						if err != nil {
							t.Errorf("%s %s %s: %v: %s\n%s", rule, charset, signType, err, out, text)
						}
					}
				}
			}
		})
	}
}

// grammar are the envelope values as PROTOCOL.md 1.2 has them.
var grammar = map[string]*regexp.Regexp{
	"notify_id":     regexp.MustCompile(`^([0-9]{34}|[0-9a-f]{31}[a-z]{3})$`),
	"utc_timestamp": regexp.MustCompile(`^[0-9]{13}$`),
	"notify_time":   regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$`),
	"app_id":        regexp.MustCompile(`^[0-9]{16}$`),
	"sign":          regexp.MustCompile(`^[A-Za-z0-9+/]{342}==$`),
	"msg_method":    regexp.MustCompile(`^[A-Za-z0-9._]+$`),
	"notify_type":   regexp.MustCompile(`^[a-z_]+$`),
	"version":       regexp.MustCompile(`^1\.[01]$`),
}

func TestEveryTypeIsWellFormed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, typ := range alipaytest.Types() {
		if seen[typ.Type] {
			t.Errorf("%s is there twice", typ.Type)
		}
		seen[typ.Type] = true
		form := signedForm(t, newNotification(t, typ.Type, alipaytest.Options{Charset: alipaytest.UTF8}), sentAt)
		for _, field := range form {
			if re, ok := grammar[field.Name]; ok && !re.MatchString(field.Value) {
				t.Errorf("%s: %s is %q, want %s", typ.Type, field.Name, field.Value, re)
			}
		}
		if !wireNameIn(form, typ.Wire) {
			t.Errorf("%s: nothing in the form says %s", typ.Type, typ.Wire)
		}
		if rest, ok := strings.CutPrefix(typ.Type, "other."); ok && rest != strings.ReplaceAll(typ.Wire, ".", "_") {
			t.Errorf("%s is not named after %s", typ.Type, typ.Wire)
		}
		if content, ok := form.Get("biz_content"); ok && !json.Valid([]byte(content)) {
			if err := xml.Unmarshal([]byte(content), new(struct{})); err != nil {
				t.Errorf("%s: biz_content is neither JSON nor XML: %v\n%s", typ.Type, err, content)
			}
		}
	}
	for _, entity := range []string{"voucher.appended", "order.refunded", "card.open_result", "trade.status_changed", "account.event"} {
		if !seen[entity] {
			t.Errorf("%s is missing", entity)
		}
	}
}

func wireNameIn(form alipaytest.Form, wire string) bool {
	for _, name := range []string{"msg_method", "notify_type", "service"} {
		if value, ok := form.Get(name); ok {
			return value == wire
		}
	}
	return false
}

// TestSpoiltOptionsAreErrors: a typing mistake in a test must not pass silently.
func TestSpoiltOptionsAreErrors(t *testing.T) {
	t.Parallel()
	if _, err := alipaytest.New("voucher.craeted", alipaytest.Options{}); err == nil {
		t.Error("an unknown type was made")
	}
	if _, err := alipaytest.New("account.event", alipaytest.Options{NotifyID: "1"}); err == nil {
		t.Error("a notify_id was given to a notification that has none")
	}
	if _, err := alipaytest.New("voucher.created", alipaytest.Options{Signing: alipaytest.Signing{Rule: "v3"}}); err == nil {
		t.Error("an unknown rule was taken")
	}
	n, err := alipaytest.New("voucher.created", alipaytest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Form(sentAt); err == nil {
		t.Error("something was signed without a key")
	}
}

func TestMessageLooksLikeTheCaptures(t *testing.T) {
	t.Parallel()
	form := signedForm(t, newNotification(t, "voucher.created", alipaytest.Options{NotifyID: "n-1"}), sentAt)
	var names []string
	for _, field := range form {
		names = append(names, field.Name)
	}
	want := []string{"charset", "biz_content", "utc_timestamp", "sign", "app_id", "version", "sign_type", "notify_id", "msg_method"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if got := get(t, form, "utc_timestamp"); got != "1709946123456" {
		t.Errorf("utc_timestamp %s is not the time of sending", got)
	}
	if got := get(t, form, "notify_id"); got != "n-1" {
		t.Errorf("notify_id %s", got)
	}
	members := `^\{"id":"ORDERSEND_\d{28}","activity_id":"\d{28}","event_time":"1709946123456","out_biz_no":"[a-z0-9]+"\}$`
	if got := get(t, form, "biz_content"); !regexp.MustCompile(members).MatchString(got) {
		t.Errorf("biz_content %s", got)
	}
}

func TestTradeIsFlat(t *testing.T) {
	t.Parallel()
	n := newNotification(t, "trade.status_changed", alipaytest.Options{})
	form := signedForm(t, n, sentAt)
	if got := get(t, form, "notify_time"); got != "2024-03-09 09:02:03" {
		t.Errorf("notify_time %s is not in Beijing's time", got)
	}
	if got := get(t, form, "version") + " " + get(t, form, "trade_status"); got != "1.0 TRADE_SUCCESS" {
		t.Errorf("got %s", got)
	}
	if _, ok := form.Get("biz_content"); ok {
		t.Error("it has a biz_content")
	}
	if n.Signing().Rule != alipaytest.DropSignType {
		t.Errorf("rule %s, want drop", n.Signing().Rule)
	}
}

func TestAccountEventNamesTheAppInItsXMLOnly(t *testing.T) {
	t.Parallel()
	n := newNotification(t, "account.event", alipaytest.Options{})
	n.SetPayload("ActionParam", "a]]>b")
	form := signedForm(t, n, sentAt)
	for _, name := range []string{"app_id", "notify_id", "utc_timestamp"} {
		if value, ok := form.Get(name); ok {
			t.Errorf("it has %s=%s", name, value)
		}
	}
	content := get(t, form, "biz_content")
	if !strings.HasPrefix(content, `<?xml version="1.0" encoding="gbk"?><XML><AppId><![CDATA[`+alipaytest.DefaultAppID) {
		t.Errorf("biz_content %q", content)
	}
	if !strings.Contains(content, "<![CDATA[a]]]]><![CDATA[>b]]>") {
		t.Errorf("a value can end its CDATA section: %q", content)
	}
	if n.ID() != "" || get(t, form, "charset") != "GBK" {
		t.Errorf("id %q, charset %s", n.ID(), get(t, form, "charset"))
	}
}

func TestSameSeedSameBytesOtherwiseUnique(t *testing.T) {
	t.Parallel()
	for _, typ := range alipaytest.Types() {
		a, err := newNotification(t, typ.Type, alipaytest.Options{}).Body(sentAt)
		if err != nil {
			t.Fatal(err)
		}
		b, err := newNotification(t, typ.Type, alipaytest.Options{}).Body(sentAt)
		if err != nil || string(a) != string(b) {
			t.Errorf("%s: two bodies from one seed, %v", typ.Type, err)
		}
	}
	ids := map[string]bool{}
	for range 2000 {
		n, err := alipaytest.New("voucher.created", alipaytest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ids[n.ID()] = true
	}
	if len(ids) != 2000 {
		t.Errorf("%d different ids of 2000", len(ids))
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	n := newNotification(t, "voucher.created", alipaytest.Options{
		Payload: []alipaytest.Field{{"activity_id", "A&<1>"}, {"extra", "e"}},
	})
	n.SetPayloadJSON("event_time", "1619338271")
	n.RemovePayload("id")
	n.SetPayload("out_biz_no", "o")
	n.Set("msg_uid", "")
	n.Set("version", "1.2")
	form := signedForm(t, n, sentAt)
	const want = `{"activity_id":"A&<1>","event_time":1619338271,"out_biz_no":"o","extra":"e"}`
	if got := get(t, form, "biz_content"); got != want {
		t.Errorf("biz_content %s\nwant        %s", got, want)
	}
	if get(t, form, "msg_uid") != "" || get(t, form, "version") != "1.2" {
		t.Errorf("envelope %v", form)
	}
	n.SetPayloadJSON("event_time", "{")
	if _, err := n.Form(sentAt); err == nil {
		t.Error("what is not JSON was sent as JSON")
	}
}

// TestRestamp: a retry has a stamp and a signature of its own, and says the
// same under the same id.
func TestRestamp(t *testing.T) {
	t.Parallel()
	for typ, stamp := range map[string]string{
		"voucher.created": "utc_timestamp", "trade.status_changed": "notify_time",
		"other.servicemarket_order_notify": "timestamp",
	} {
		n := newNotification(t, typ, alipaytest.Options{})
		first, second := signedForm(t, n, sentAt), signedForm(t, n, sentAt.Add(2*time.Minute))
		changed := map[string]bool{stamp: true, "sign": true, "notify_time": true}
		for _, field := range first {
			same := field.Value == get(t, second, field.Name)
			if same == changed[field.Name] {
				t.Errorf("%s: %s stays the same: %v", typ, field.Name, same)
			}
		}
		if len(first) != len(second) {
			t.Errorf("%s: %d fields, then %d", typ, len(first), len(second))
		}

		frozen, err := n.SameBytes(sentAt)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, signedForm(t, frozen, sentAt.Add(time.Hour))); diff != "" {
			t.Errorf("%s: same bytes (-first +later):\n%s", typ, diff)
		}
	}
}
