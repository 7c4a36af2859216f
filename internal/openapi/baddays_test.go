package openapi_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"alipay-notify/internal/openapi"
)

const (
	update = "alipay.marketing.card.update"           // a write without a number
	stop   = "alipay.marketing.activity.voucher.stop" // a write with one
	query  = "alipay.marketing.card.query"
)

// params are good parameters of these three.
func params(method string) any {
	switch method {
	case update:
		return openapi.CardUpdate{TargetCardNo: "1", TargetCardNoType: openapi.BizCard, OccurTime: "2024-03-09 09:00:00", CardInfo: &openapi.MerchantCard{Level: "VIP1"}}
	case stop:
		return openapi.ActivityChange{ActivityID: "1", OutBizNo: "b1", MerchantAccessMode: openapi.SelfMode}
	}
	return card()
}

// say answers without a signature.
func say(status int, contentType, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// hangUp ends the connection after these bytes.
func hangUp(tb testing.TB, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		hijacker, ok := w.(http.Hijacker)
		if !ok {
			tb.Error("no hijacker")
			return
		}
		conn, _, err := hijacker.Hijack()
		if err != nil {
			tb.Error(err)
			return
		}
		_, _ = io.WriteString(conn, text)
		_ = conn.Close()
	}
}

func strangerKey(tb testing.TB) *rsa.PrivateKey {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

type badDay struct {
	name    string
	gateway openapi.Gateway
	handler http.HandlerFunc
	kind    openapi.Kind
	once    bool     // not even a query is repeated
	say     []string // all of them are in the error's text
}

func badDays(t *testing.T) []badDay {
	t.Helper()
	html := `<html><body>Welcome to hotel Wi-Fi</body></html>`
	good := `{"schema_url":"a"}`
	node := `{"code":"10000","msg":"Success","schema_url":"a"}`
	stranger := strangerKey(t)
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(`{"error_response":{"code":"40002","msg":"Invalid Arguments","sub_code":"isv.invalid-charset","sub_msg":"字符集错误"}}`)
	if err != nil {
		t.Fatal(err)
	}
	wrongV3 := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("alipay-timestamp", "1709946123456")
		w.Header().Set("alipay-nonce", "n")
		w.Header().Set("alipay-signature", sign(t, stranger, "1709946123456\nn\n"+good+"\n"))
		_, _ = io.WriteString(w, good)
	}
	wrongV2 := func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"alipay_marketing_card_query_response":%s,"sign":"%s"}`, node, sign(t, stranger, node))
	}
	v3, v2 := openapi.V3, openapi.V2
	return []badDay{
		{"HTML", v3, say(200, "text/html", html), openapi.Garbled, false, []string{"HTML instead of JSON", "base URL"}},
		{"HTML", v2, say(200, "text/html", html), openapi.Garbled, false, []string{"HTML instead of JSON"}},
		{"HTML of a proxy in need", v3, say(502, "text/html", html), openapi.Uncertain, false, []string{"HTML", "HTTP 502"}},
		{"HTML of a proxy in need", v2, say(503, "text/html", html), openapi.Uncertain, false, []string{"HTML", "HTTP 503"}},
		{"HTML with 429", v3, say(429, "text/html", html), openapi.Throttled, false, []string{"nothing happened"}},
		{"HTML with 404", v3, say(404, "text/html", html), openapi.Garbled, false, []string{"HTML"}},
		{"cut off", v3, hangUp(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":"), openapi.Garbled, false, []string{"cut off after 5 bytes"}},
		{"cut off", v2, hangUp(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":"), openapi.Garbled, false, []string{"cut off after 5 bytes"}},
		{"cut off where nobody sees it", v2, say(200, "", `{"alipay_marketing_card_query_response":{"code":"10000","a":[1`), openapi.Garbled, false, []string{"cut off"}},
		{"no answer at all", v3, hangUp(t, ""), openapi.Uncertain, false, []string{"EOF"}},
		{"too large", v3, say(200, "", "{"+strings.Repeat(" ", 5000)+"}"), openapi.Garbled, true, []string{"larger than 4096 bytes"}},
		{"too large", v2, say(200, "", "{"+strings.Repeat(" ", 5000)+"}"), openapi.Garbled, true, []string{"larger than 4096 bytes"}},
		{"a redirect", v3, say(302, "", "", "Location", "https://example.com/"), openapi.Garbled, false, []string{"never followed"}},
		{"empty", v2, say(200, "", ""), openapi.Garbled, false, []string{"empty"}},
		{"a list", v3, say(200, "", "[]"), openapi.Garbled, false, []string{"not a JSON object"}},
		{"plain text", v2, say(200, "", "ok"), openapi.Garbled, false, []string{"not a JSON object"}},
		{"two nodes", v2, say(200, "", `{"error_response":{"code":"1"},"alipay_marketing_card_query_response":`+node+`}`), openapi.Garbled, false, []string{"two nodes"}},
		{"the same node twice", v2, say(200, "", `{"error_response":{"code":"1"},"error_response":{"code":"2"}}`), openapi.Garbled, false, []string{"comes twice"}},
		{"another method's node", v2, say(200, "", `{"alipay_trade_query_response":`+node+`}`), openapi.Garbled, false, []string{"alipay_marketing_card_query_response"}},
		{"a signature that is no string", v2, say(200, "", `{"alipay_marketing_card_query_response":`+node+`,"sign":1}`), openapi.Garbled, false, []string{"sign is no string"}},
		{"taken, not handled", v3, say(202, "", "{}"), openapi.Uncertain, false, []string{"has not handled it yet"}},
		{"unsigned success", v3, say(200, "", good), openapi.Untrusted, true, []string{"not signed", "proxy"}},
		{"unsigned success without content", v3, say(204, "", ""), openapi.Untrusted, true, []string{"not signed"}},
		{"unsigned success", v2, say(200, "", `{"alipay_marketing_card_query_response":`+node+`}`), openapi.Untrusted, true, []string{"not signed"}},
		{"another key", v3, wrongV3, openapi.Untrusted, true, []string{"no configured key", "支付宝公钥"}},
		{"another key", v2, wrongV2, openapi.Untrusted, true, []string{"no configured key", "支付宝公钥"}},
		{"throttled", v3, say(429, "application/json", `{"code":"app-call-limited","message":"x"}`), openapi.Throttled, false, []string{"app-call-limited", "lower the rate"}},
		{"throttled by code alone", v3, say(400, "application/json", `{"code":"method-call-limited","message":"x"}`), openapi.Throttled, false, []string{"lower the rate"}},
		{"throttled", v2, say(200, "", `{"error_response":{"code":"40005","msg":"Call Limited","sub_code":"isv.app-call-limited"}}`), openapi.Throttled, false, []string{"lower the rate"}},
		{"Alipay does not know", v3, say(500, "application/json", `{"code":"unknow-error","message":"系统繁忙"}`), openapi.Uncertain, false, []string{"unknow-error", "系统繁忙", "not signed"}},
		{"Alipay does not know", v2, say(200, "", `{"error_response":{"code":"20000","msg":"Service Currently Unavailable","sub_code":"isp.unknow-error"}}`), openapi.Uncertain, false, []string{"isp.unknow-error (20000)"}},
		{"SYSTEM_ERROR is a 400", v3, say(400, "application/json", `{"code":"SYSTEM_ERROR","message":"x"}`), openapi.Uncertain, false, []string{"SYSTEM_ERROR"}},
		{"SYSTEM_ERROR of another family", v2, say(200, "", `{"error_response":{"code":"40004","msg":"x","sub_code":"MCARD.SYSTEM_ERROR"}}`), openapi.Uncertain, false, []string{"MCARD.SYSTEM_ERROR"}},
		{"business says no", v3, say(400, "application/json", `{"code":"CARD_NOT_EXIT","message":"no"}`), openapi.Refused, true, []string{"CARD_NOT_EXIT", "target_card_no_type", "not signed"}},
		{"a code without advice", v3, say(400, "application/json", `{"code":"new-code","message":"no","links":[{"link":"https://open.alipay.com/x","desc":"y"}]}`), openapi.Refused, true, []string{"see https://open.alipay.com/x"}},
		{"an error in GBK", v2, say(200, "text/html;charset=GBK", gbk), openapi.Refused, true, []string{"invalid-charset", "字符集错误"}},
		{"an error of another shape", v3, say(403, "application/json", `{"error":"Forbidden"}`), openapi.Garbled, false, []string{"403 without an error code"}},
		{"our clock is behind", v3, say(400, "application/json", `{"code":"invalid-timestamp","message":"x"}`, "Date", now.Add(17*time.Minute).UTC().Format(http.TimeFormat)),
			openapi.Refused, true, []string{"clock is 17m0s behind Alipay's", "NTP"}},
		{"our clock is ahead", v2, say(200, "", `{"error_response":{"code":"40002","msg":"x","sub_code":"isv.invalid-timestamp"}}`, "Date", now.Add(-time.Hour).UTC().Format(http.TimeFormat)),
			openapi.Refused, true, []string{"clock is 1h0m0s ahead of Alipay's"}},
	}
}

// TestBadDays: each has its kind, says what it is and what to do, leaves no data,
// and is repeated exactly where the policy says: queries, and writes with a
// number; other writes only where nothing can have happened.
func TestBadDays(t *testing.T) {
	t.Parallel()
	for _, tt := range badDays(t) {
		t.Run(tt.name+" over "+string(tt.gateway), func(t *testing.T) {
			t.Parallel()
			var seen atomic.Int32
			c := against(t, func(w http.ResponseWriter, r *http.Request) {
				seen.Add(1)
				tt.handler(w, r)
			}, func(cfg *openapi.Config) { cfg.MaxBody = 4096 })
			methods := []string{query, stop, update}
			if tt.gateway == openapi.V2 { // the nodes bear the name of one method
				methods = methods[:1]
			}
			for _, method := range methods {
				seen.Store(0)
				resp, err := c.Call(t.Context(), openapi.Request{Method: method, Params: params(method), Gateway: tt.gateway})
				e := fails(t, err, tt.kind)
				if resp.Data != nil {
					t.Errorf("data %s", resp.Data)
				}
				for _, text := range tt.say {
					if !strings.Contains(err.Error(), text) && (method == query || e.Err != nil) {
						t.Errorf("%s: the error lacks %q: %v", method, text, err)
					}
				}
				want := 3
				if tt.once || method == update && tt.kind != openapi.Unavailable && tt.kind != openapi.Throttled {
					want = 1
				}
				if int(seen.Load()) != want || e.Attempts != want {
					t.Errorf("%s: %d requests came, the error says %d, want %d", method, seen.Load(), e.Attempts, want)
				}
				unclear := tt.kind == openapi.Uncertain || tt.kind == openapi.Untrusted || tt.kind == openapi.Garbled
				if e.MayHaveHappened() != (unclear && method != query) {
					t.Errorf("%s: may have happened: %v", method, e.MayHaveHappened())
				}
				if told := strings.Contains(err.Error(), "the same out_biz_no"); told != (unclear && method == stop) {
					t.Errorf("%s: told to repeat with the same number: %v: %v", method, told, err)
				}
			}
		})
	}
}

// Nobody listens: nothing was sent, so even a write without a number is tried again.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, func(cfg *openapi.Config) { cfg.BaseURL = "http://" + l.Addr().String() })
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = c.Call(t.Context(), openapi.Request{Method: update, Params: params(update)})
	if e := fails(t, err, openapi.Unavailable); e.Attempts != 3 || e.MayHaveHappened() || !strings.Contains(err.Error(), "nothing was sent") {
		t.Errorf("%+v", e)
	}
}

// A server whose certificate nobody knows gets nothing: the handshake fails
// before the request, with its token, is written.
func TestUnknownCertificateAuthority(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request came") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	c := client(t, func(cfg *openapi.Config) { cfg.BaseURL, cfg.Attempts = s.URL, 1 })
	_, err := c.Call(t.Context(), openapi.Request{Method: query, Params: card()})
	fails(t, err, openapi.Unavailable)
}

// TestWrongRequestsAreNotSent: everything that can be known before is, and the
// field is named, while its value, which may be personal, is not.
func TestWrongRequestsAreNotSent(t *testing.T) {
	t.Parallel()
	c := against(t, func(http.ResponseWriter, *http.Request) { t.Error("a request came") })
	long := strings.Repeat("长", 65)
	for _, tt := range []struct {
		name string
		r    openapi.Request
		say  []string
	}{
		{"unknown operation", openapi.Request{Method: "alipay.marketing.card.qurey"}, []string{"unknown operation", "is it alipay.marketing.card.query?"}},
		{"unknown operation, nothing near", openapi.Request{Method: "alipay.trade.query"}, []string{"unknown operation", "over gateway.do"}},
		{"no method", openapi.Request{Gateway: openapi.V2}, []string{"not a name"}},
		{"a method with a line break", openapi.Request{Gateway: openapi.V2, Method: "alipay.trade.query\nx"}, []string{"not a name"}},
		{"unknown gateway", openapi.Request{Method: query, Gateway: "v4"}, []string{"unknown gateway"}},
		{"another path for a known method", openapi.Request{Method: query, Params: card(), Path: "/v3/x"}, []string{"this method is POST /v3/alipay/marketing/card/query"}},
		{"a path with a query", openapi.Request{Method: "a.b", Verb: "GET", Path: "/v3/a?b=c"}, []string{"hold no query"}},
		{"a path that climbs", openapi.Request{Method: "a.b", Verb: "GET", Path: "/v3/../a"}, []string{"/v3/"}},
		{"a parameter of the path is missing", openapi.Request{Method: "a.b", Verb: "GET", Path: "/v3/a/{b_id}"}, []string{"b_id is required"}},
		{"a parameter of the path is dots", openapi.Request{Method: "a.b", Verb: "GET", Path: "/v3/a/{b_id}", Params: []byte(`{"b_id":".."}`)}, []string{"b_id"}},
		{"required fields", openapi.Request{Method: stop, Params: []byte(`{"out_biz_no":"","activity_id":null}`)}, []string{"activity_id is required", "out_biz_no is required", "merchant_access_mode is required"}},
		{"required over gateway.do too", openapi.Request{Method: query, Gateway: openapi.V2}, []string{"target_card_no is required", "target_card_no_type is required"}},
		{"required inside a block", openapi.Request{Method: "alipay.marketing.card.open", Params: openapi.CardOpen{OutSerialNo: "s", CardTemplateID: "t", CardUserInfo: &openapi.CardUserInfo{UserUniIDType: "UID"}}},
			[]string{"card_ext_info is required", "one of card_user_info.user_uni_id, card_user_info.open_id is required"}},
		{"one of two", openapi.Request{Method: "alipay.marketing.activity.voucher.send", Params: params(stop)}, []string{"one of user_id, open_id is required"}},
		{"exactly one of two", openapi.Request{Method: "alipay.marketing.activity.user.batchqueryvoucher", Params: openapi.UserVoucherList{
			PageNum: 1, PageSize: 21, MerchantAccessMode: openapi.SelfMode, BelongMerchantID: "1", SenderMerchantID: "2",
		}}, []string{"exactly one of belong_merchant_id, sender_merchant_id", "page_size must be a whole number from 1 to 20"}},
		{"too long, counted in characters", openapi.Request{Method: stop, Params: openapi.ActivityChange{ActivityID: "1", OutBizNo: long, MerchantAccessMode: "SELF_MODE"}}, []string{"out_biz_no has 65 characters, at most 64"}},
		{"too many", openapi.Request{Method: "alipay.marketing.activity.voucher.append", Params: openapi.VoucherAppend{
			ActivityChange: openapi.ActivityChange{ActivityID: "1", OutBizNo: "b", MerchantAccessMode: "SELF_MODE"}, VoucherQuantity: 100000000,
		}}, []string{"voucher_quantity must be a whole number from 1 to 99999999"}},
		{"too many lines", openapi.Request{Method: update, Params: openapi.CardUpdate{
			TargetCardNo: "1", TargetCardNoType: "BIZ_CARD", OccurTime: "x", CardInfo: &openapi.MerchantCard{FrontTextList: make([]openapi.CardFrontText, 5)},
		}}, []string{"card_info.front_text_list has 5 items, at most 4"}},
		{"no object", openapi.Request{Method: query, Params: []byte(`[1]`)}, []string{"not one JSON object"}},
		{"no JSON", openapi.Request{Method: query, Params: []byte(`{"a":`)}, []string{"not JSON"}},
		{"two objects", openapi.Request{Method: query, Params: []byte(`{} {}`)}, []string{"not JSON"}},
		{"a name twice", openapi.Request{Method: query, Params: []byte(`{"target_card_no":"1","target_card_no":"2"}`)}, []string{"target_card_no", "twice"}},
		{"no UTF-8", openapi.Request{Method: query, Params: []byte("{\"a\":\"\xff\"}")}, []string{"UTF-8"}},
		{"unwritable", openapi.Request{Method: query, Params: func() {}}, []string{"cannot be written as JSON"}},
		{"encryption without a key", openapi.Request{Method: query, Params: card(), Encrypt: true}, []string{"no AES key"}},
		{"a public parameter of ours", openapi.Request{Method: query, Params: card(), Gateway: openapi.V2, Public: map[string]string{"app_id": "1"}}, []string{"public parameter"}},
		{"public parameters over v3", openapi.Request{Method: query, Params: card(), Public: map[string]string{"notify_url": "https://a"}}, []string{"belong to gateway.do"}},
		{"an effect of its own", openapi.Request{Method: "a.b", Gateway: openapi.V2, Effect: "maybe"}, []string{"unknown effect"}},
		{"a token of two lines", openapi.Request{Method: query, Params: card(), AppAuthToken: "a\nb"}, []string{"app_auth_token"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := c.Call(t.Context(), tt.r)
			e := fails(t, err, openapi.Invalid)
			for _, text := range tt.say {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("the error lacks %q: %v", text, err)
				}
			}
			if e.Attempts != 0 || !strings.Contains(err.Error(), "nothing was sent") || strings.Contains(err.Error(), long) {
				t.Errorf("%+v", e)
			}
			if _, again := c.Plan(tt.r); again == nil || again.Error() != err.Error() {
				t.Errorf("Plan says %v", again)
			}
		})
	}
}

// Answers in GBK need a decoder, and must be GBK; without one ASCII is read all
// the same. What a request in GBK cannot say is refused.
func TestGBKThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, node, say string
		decoder         func([]byte) ([]byte, error)
	}{
		{"no decoder", "{\"code\":\"10000\",\"a\":\"\xd5\xc5\"}", "not given a decoder", nil},
		{"no decoder, and nothing to decode", `{"code":"10000","a":"b"}`, "", nil},
		{"not GBK, and the decoder says so", "{\"code\":\"10000\",\"a\":\"\xd5\xc5\"}", "not GBK", func([]byte) ([]byte, error) { return nil, errSeen }},
		{"not GBK, and the decoder replaces it", "{\"code\":\"10000\",\"a\":\"\xff\"}", "not GBK", simplifiedchinese.GBK.NewDecoder().Bytes},
		{"an error, read as far as it goes", "{\"code\":\"40004\",\"sub_code\":\"CARD_NOT_EXIT\",\"sub_msg\":\"\xd5\xc5\"}", "CARD_NOT_EXIT", nil},
		{"no object", `"MTIz"`, "decrypts", nil},
		{"a list", `[1]`, "not a JSON object", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := against(t, func(w http.ResponseWriter, _ *http.Request) {
				answerV2(t, w, "alipay_marketing_card_query_response", tt.node)
			},
				func(cfg *openapi.Config) { cfg.Charset, cfg.FromGBK = openapi.GBK, tt.decoder })
			_, err := c.CardQuery(t.Context(), card(), openapi.Over(openapi.V2))
			if tt.say == "" && err != nil || tt.say != "" && (err == nil || !strings.Contains(err.Error(), tt.say)) {
				t.Errorf("got %v, want something about %q", err, tt.say)
			}
		})
	}
	c := client(t, func(cfg *openapi.Config) { cfg.Charset = openapi.GBK })
	_, err := c.Plan(openapi.Request{Gateway: openapi.V2, Method: query, Params: card(), Public: map[string]string{"notify_url": "https://张"}})
	fails(t, err, openapi.Invalid)
}

// The caller gives up: the call ends at once, keeps the reason, and is not repeated.
func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	requests := 0
	c := client(t, via(func(r *http.Request) (*http.Response, error) {
		requests++
		cancel(enough)
		<-r.Context().Done()
		return nil, r.Context().Err()
	}))
	_, err := c.Call(ctx, openapi.Request{Method: query, Params: card()})
	if e := openapi.As(err); e == nil || !errors.Is(err, enough) || e.Attempts != 1 || requests != 1 {
		t.Errorf("%v after %d requests", err, requests)
	}
	_, err = c.Call(ctx, openapi.Request{Method: query, Params: card()})
	if e := fails(t, err, openapi.Unavailable); e.Attempts != 0 || requests != 1 || !errors.Is(err, enough) {
		t.Errorf("%v after %d requests", err, requests)
	}
}
