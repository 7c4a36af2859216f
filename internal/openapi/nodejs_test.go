package openapi_test

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/openapi"
)

// startNode starts testdata/alipay.mjs, the second implementation, with the
// settings of a client, and gives its address.
func startNode(t *testing.T, settings map[string]string) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		const text = "node is needed: install Node.js (apt-get install nodejs, brew install node)"
		if os.Getenv("CI") == "true" {
			t.Fatal(text)
		}
		t.Skip(text)
	}
	dir := t.TempDir()
	data, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "settings.json"), data)
	cmd := exec.Command(node, filepath.Join("testdata", "alipay.mjs"), dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // which ends it
		if err := cmd.Wait(); err != nil {
			t.Errorf("node: %v", err)
		}
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("node does not say its port: %v", err)
	}
	return "http://127.0.0.1:" + strings.TrimSpace(port)
}

// nodeSettings are what the other side knows of config.
func nodeSettings(t *testing.T, cfg openapi.Config) map[string]string {
	t.Helper()
	public, err := x509.MarshalPKIXPublicKey(&appKey(t).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(alipayKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"app_id": cfg.AppID, "token": string(cfg.AppAuthToken), "app_sn": cfg.AppCertSN, "root_sn": cfg.RootCertSN, "alipay_sn": cfg.AlipayKeys[0].CertSN,
		"app_public":     string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		"alipay_private": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		"aes":            "MDEyMzQ1Njc4OWFiY2RlZg==",
	}
}

// texts draws values that are hard to encode: what means something in URLs, forms,
// JSON or the Authorization header, and Chinese. All of it is in GBK.
func texts(r *rand.Rand) string {
	const hard = "abcXYZ019 +&=%?#/\\\"'<>,;:.~-_!*()[]{}|^$@`\t张三小笼包，。￥"
	all := []rune(hard)
	text := make([]rune, 1+r.IntN(24))
	for i := range text {
		text[i] = all[r.IntN(len(all))]
	}
	return "x" + string(text) + "x" // neither spaces at the ends nor dots alone
}

// TestNodeOnTheOtherSide makes calls with drawn parameters, of each shape and in
// each mode, to a second implementation in another language: it puts the signing
// strings together from what came, verifies and signs with Node's own crypto, and
// answers with the parameters as it understood them.
func TestNodeOnTheOtherSide(t *testing.T) {
	t.Parallel()
	type mode struct {
		name string
		edit func(*openapi.Config)
	}
	for _, m := range []mode{
		{"key", func(*openapi.Config) {}},
		{"certificate", func(c *openapi.Config) {
			c.AppCertSN, c.RootCertSN, c.AlipayKeys[0].CertSN = "50fa7bc5dc305a4fbdbe166689ddc827", "687b59193f3f462dd5336e5abf83c5d8_02941eef3187dddf3d3b83462e1dfcf6", "b4e4a4d1b7f1a2c3"
		}},
		{"token", func(c *openapi.Config) { c.AppAuthToken = token }},
		{"encrypted", func(c *openapi.Config) { c.Encrypt = true }},
		{"GBK", func(c *openapi.Config) { c.Charset = openapi.GBK }},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			cfg.AESKeys, cfg.Attempts = []openapi.Secret{"MDEyMzQ1Njc4OWFiY2RlZg=="}, 1
			m.edit(&cfg)
			cfg.BaseURL = startNode(t, nodeSettings(t, cfg))
			c, err := openapi.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			for seed := range uint64(40) {
				askNode(t, c, rand.New(rand.NewPCG(seed, 7)))
			}
		})
	}
}

// askNode makes one call of each shape over each protocol.
func askNode(t *testing.T, c *openapi.Client, r *rand.Rand) {
	t.Helper()
	shapes := map[string]map[string]any{
		"alipay.marketing.card.query":      {"target_card_no": texts(r), "target_card_no_type": "BIZ_CARD", "ext_info": texts(r)},                                                     // a body
		"alipay.open.public.account.query": {"open_id": texts(r)},                                                                                                                     // a query
		"alipay.marketing.activity.query":  {"activity_id": texts(r), "merchant_id": texts(r), "merchant_access_mode": "SELF_MODE"},                                                   // a path
		"alipay.marketing.card.delete":     {"out_serial_no": texts(r), "target_card_no": texts(r), "target_card_no_type": "BIZ_CARD", "reason_code": "CANCEL", "ext_info": texts(r)}, // DELETE
		"alipay.marketing.card.open": { // a body, and a public parameter or a query
			"out_serial_no": texts(r), "card_template_id": texts(r), "card_user_info": map[string]any{"user_uni_id_type": "UID", "user_uni_id": texts(r)},
			"card_ext_info": map[string]any{"external_card_no": texts(r), "front_text_list": []any{map[string]any{"label": texts(r), "value": texts(r)}}}, "auth_token": token[:35] + "+/=&%",
		},
	}
	for method, params := range shapes {
		for _, gateway := range []openapi.Gateway{openapi.V3, openapi.V2} {
			resp, err := c.Call(t.Context(), openapi.Request{Method: method, Params: maps.Clone(params), Gateway: gateway})
			if err != nil {
				t.Errorf("%s over %s: %v\n%v", method, gateway, err, params)
				continue
			}
			var answer struct{ Understood map[string]any }
			if err := json.Unmarshal(resp.Data, &answer); err != nil {
				t.Errorf("%s over %s: %v in %s", method, gateway, err, resp.Data)
			}
			if diff := cmp.Diff(params, answer.Understood); diff != "" {
				t.Errorf("%s over %s was understood otherwise (-meant +understood):\n%s", method, gateway, diff)
			}
		}
	}
}

// The other side does look: another key's signature is none.
func TestNodeRefusesAnotherKey(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.AESKeys, cfg.Attempts = []openapi.Secret{"MDEyMzQ1Njc4OWFiY2RlZg=="}, 1
	cfg.BaseURL = startNode(t, nodeSettings(t, cfg))
	cfg.PrivateKey = strangerKey(t)
	c, err := openapi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for _, gateway := range []openapi.Gateway{openapi.V3, openapi.V2} {
		_, err := c.Call(t.Context(), openapi.Request{Method: query, Params: card(), Gateway: gateway})
		if err == nil || !strings.Contains(fmt.Sprint(err), "400") {
			t.Errorf("over %s: %v", gateway, err)
		}
	}
}
