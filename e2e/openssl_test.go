//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify/internal/alipaytest"
)

// signScript signs a notification with openssl and the shell alone.
const signScript = "../docs/sign-with-openssl.sh"

// TestOpenSSL sends notifications that no code of ours has signed: a key of
// openssl's making, and the script of the documentation. Each becomes the typed
// event that Alipay's documents promise.
func TestOpenSSL(t *testing.T) {
	t.Parallel()
	app := &alipaytest.App{ID: "2021000000000001"}
	key := t.TempDir() + "/key.pem"
	run(t, "openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key).want(t, 0)
	public := run(t, "openssl", "pkey", "-in", key, "-pubout")
	public.want(t, 0)
	app.PublicPEM = []byte(public.stdout)
	r := ready(t, newConfig(t, app))

	const voucherJSON = `{"id":"ORDERSEND_2021042400826001508407723739","activity_id":"2016042700826004508401111111",` +
		`"event_time":"1672740605064","out_biz_no":"abscd123341"}`
	voucherData := map[string]any{
		"id": "ORDERSEND_2021042400826001508407723739", "activity_id": "2016042700826004508401111111",
		"event_time": "2023-01-03T10:10:05.064Z", "out_biz_no": "abscd123341",
	}
	kinds := []openSSLCase{{
		"alipay.user.opencard.result.notify", "card.open_result", "000001",
		`{"template_id":"20200312000000000414103000300846","biz_card_no":"000001","external_card_no":"EXT0001",` +
			`"success":"true","user_id":"2088302463082075"}`,
		map[string]any{
			"template_id": "20200312000000000414103000300846", "biz_card_no": "000001", "external_card_no": "EXT0001",
			"success": true, "user_id": "2088302463082075",
		},
	}}
	for _, action := range []string{"created", "modified", "appended", "stopped"} {
		kinds = append(kinds, openSSLCase{
			"alipay.marketing.activity.message." + action, "voucher." + action, "2016042700826004508401111111", voucherJSON, voucherData,
		})
	}
	for i, c := range kinds {
		t.Run(c.kind, func(t *testing.T) {
			printed := run(t, "sh", signScript, "--print", key, app.ID, c.method, c.json)
			printed.want(t, 0)
			body := strings.TrimRight(printed.stdout, "\n")
			curl(t, r.url, []byte(body)).want(t, http.StatusOK, "success")
			events := r.events(t)
			if len(events) != i+1 {
				t.Fatalf("%d events are stored, want %d", len(events), i+1)
			}
			c.check(t, app.ID, events[i], body)
		})
	}
	if _, err := exec.LookPath("curl"); err == nil {
		posted := run(t, "sh", signScript, key, app.ID, kinds[0].method, kinds[0].json, r.url)
		posted.want(t, 0)
		if posted.stdout != "success\n" {
			t.Errorf("the script printed %q, want success", posted.stdout)
		}
	}
}

// openSSLCase is a notification and the event that it becomes.
type openSSLCase struct {
	method, kind, key string
	json              string
	data              map[string]any
}

func (c openSSLCase) check(t *testing.T, appID string, e *jetstream.RawStreamMsg, body string) {
	t.Helper()
	if want := "alipay.events." + appID + "." + c.kind + "." + c.key; e.Subject != want {
		t.Errorf("subject %s, want %s", e.Subject, want)
	}
	if diff := cmp.Diff(c.data, dataOf(t, e)); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	want := map[string]string{
		"ce-type": c.method, "ce-subject": c.key, "ce-source": "/alipay/" + appID,
		"ce-dataschema": "urn:alipay-notify:schema:" + c.kind + ":v1",
		"ce-dedupe":     "stream", // this receiver has no Redis
		"Alipay-Raw":    body,
	}
	if at, ok := c.data["event_time"].(string); ok {
		want["ce-time"] = at
	}
	for name, value := range want {
		if got := header(e, name); got != value {
			t.Errorf("%s: %s, want %s", name, got, value)
		}
	}
}

// dataOf is the data of an event.
func dataOf(t testing.TB, e *jetstream.RawStreamMsg) map[string]any {
	t.Helper()
	var data map[string]any
	if err := json.Unmarshal(e.Data, &data); err != nil {
		t.Fatalf("the data of %s is no JSON object: %v\n%s", e.Subject, err, e.Data)
	}
	return data
}
