package openapi_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"alipay-notify/internal/openapi"
)

// signedHeader is a proof of body, made once: the benchmarks measure this side.
func signedHeader(tb testing.TB, body string) http.Header {
	tb.Helper()
	return http.Header{
		"Alipay-Timestamp": {"1709946123456"}, "Alipay-Nonce": {"n"},
		"Alipay-Signature": {sign(tb, alipayKey(tb), "1709946123456\nn\n"+body+"\n")},
	}
}

const benchBody = `{"activity_base_info":{"activity_id":"2016042700826004508401111111","activity_status":"ACTIVE"},"voucher_send_mode_info":{"voucher_send_rule_info":{"quantity":100000}},"voucher_inventory_info":{"send_count":100,"use_count":7}}`

// BenchmarkCall is one signed and proved query. "Memory" has no network at all:
// it is the cost of this room. "Loopback" adds HTTP and the kernel, over a
// connection that stays open.
func BenchmarkCall(b *testing.B) {
	header := signedHeader(b, benchBody)
	in := openapi.ActivityQuery{ActivityID: "2016042700826004508401111111", MerchantAccessMode: openapi.SelfMode}
	run := func(b *testing.B, c *openapi.Client) {
		b.Helper()
		b.ReportAllocs()
		for b.Loop() {
			r, err := c.VoucherQuery(b.Context(), in)
			if err != nil || r.Value.VoucherInventoryInfo.SendCount != 100 {
				b.Fatalf("%+v, %v", r, err)
			}
		}
	}
	edit := func(cfg *openapi.Config) { cfg.Now = func() time.Time { return now } }
	b.Run("Memory", func(b *testing.B) {
		run(b, client(b, func(cfg *openapi.Config) {
			edit(cfg)
			cfg.Burst = 1 << 30
			via(func(*http.Request) (*http.Response, error) {
				return canned(http.StatusOK, header, []byte(benchBody)), nil
			})(cfg)
		}))
	})
	b.Run("Loopback", func(b *testing.B) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for name, values := range header {
				w.Header()[name] = values
			}
			_, _ = w.Write([]byte(benchBody))
		}))
		defer s.Close()
		run(b, client(b, func(cfg *openapi.Config) {
			edit(cfg)
			cfg.Burst = 1 << 30
			cfg.BaseURL = s.URL
		}))
	})
}

// BenchmarkRSA is what of it is arithmetic: one signature, one verification.
func BenchmarkRSA(b *testing.B) {
	b.Run("Sign", func(b *testing.B) {
		for b.Loop() {
			sign(b, appKey(b), benchBody)
		}
	})
	b.Run("Verify", func(b *testing.B) {
		signature := sign(b, appKey(b), benchBody)
		for b.Loop() {
			verifies(b, &appKey(b).PublicKey, []byte(benchBody), signature)
		}
	})
}
