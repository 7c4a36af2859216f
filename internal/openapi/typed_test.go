package openapi_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/openapi"
)

// called is one typed call: what it sends, what comes back, and what is read.
type called struct {
	method string
	do     func(context.Context, *openapi.Client, ...openapi.Option) (any, openapi.Response, error)
	sends  string // verb, path and query, body
	answer string
	reads  any
}

func of[T any](r openapi.Result[T], err error) (any, openapi.Response, error) {
	return r.Value, r.Response, err
}

func calls() []called {
	change := openapi.ActivityChange{ActivityID: "1", OutBizNo: "b", MerchantAccessMode: openapi.SelfMode}
	const changed = `{"activity_id":"1","out_biz_no":"b","merchant_access_mode":"SELF_MODE"}`
	const vouchers = "/v3/alipay/marketing/activity/voucher/"
	one := openapi.ActivityQuery{ActivityID: "1", MerchantAccessMode: openapi.AgencyMode}
	type c = *openapi.Client
	type ctx = context.Context
	type a = any
	type r = openapi.Response
	return []called{
		{"alipay.marketing.activity.voucher.create", func(x ctx, c c, o ...openapi.Option) (a, r, error) {
			return of(c.VoucherCreate(x, openapi.VoucherCreate{
				OutBizNo: "b", MerchantAccessMode: openapi.SelfMode, ActivityBaseInfo: &openapi.ActivityBaseInfo{ActivityName: "满10减1"},
				VoucherSendModeInfo: &openapi.VoucherSendModeInfo{VoucherSendRuleInfo: &openapi.VoucherSendRuleInfo{Quantity: 100, NaturalPersonLimit: new(false)}},
				VoucherDeductInfo:   &openapi.VoucherDeductInfo{VoucherType: "FIX_VOUCHER"}, VoucherDisplayPatternInfo: &openapi.VoucherDisplayPatternInfo{BrandName: "n"},
			}, o...))
		}, "POST " + vouchers + `create {"out_biz_no":"b","merchant_access_mode":"SELF_MODE","activity_base_info":{"activity_name":"满10减1"},` +
			`"voucher_send_mode_info":{"voucher_send_rule_info":{"natural_person_limit":false,"quantity":100}},"voucher_deduct_info":{"voucher_type":"FIX_VOUCHER"},"voucher_display_pattern_info":{"brand_name":"n"}}`,
			`{"activity_id":"2016"}`, openapi.ActivityCreated{ActivityID: "2016"}},
		{"alipay.marketing.activity.voucher.publish", func(x ctx, c c, o ...openapi.Option) (a, r, error) { return of(c.VoucherPublish(x, change, o...)) },
			"POST " + vouchers + "publish " + changed, `{"recharge_url":"https://a/b"}`, openapi.Recharge{RechargeURL: "https://a/b"}},
		{"alipay.marketing.activity.voucher.modify", func(x ctx, c c, o ...openapi.Option) (a, r, error) {
			return of(c.VoucherModify(x, openapi.VoucherModify{OutBizNo: "b", MerchantAccessMode: openapi.SelfMode, ActivityID: "1", PublishEndTime: "2030-01-01 00:00:00"}, o...))
		}, "POST " + vouchers + `modify {"out_biz_no":"b","merchant_access_mode":"SELF_MODE","activity_id":"1","activity_base_info":{"activity_id":"1"},"publish_end_time":"2030-01-01 00:00:00"}`,
			`{}`, openapi.Nothing{}},
		{"alipay.marketing.activity.voucher.append", func(x ctx, c c, o ...openapi.Option) (a, r, error) {
			return of(c.VoucherAppend(x, openapi.VoucherAppend{ActivityChange: change, VoucherQuantity: 200}, o...))
		}, "POST " + vouchers + `append {"activity_id":"1","out_biz_no":"b","merchant_access_mode":"SELF_MODE","voucher_quantity":200}`, `{}`, openapi.Recharge{}},
		{"alipay.marketing.activity.voucher.stop", func(x ctx, c c, o ...openapi.Option) (a, r, error) { return of(c.VoucherStop(x, change, o...)) },
			"POST " + vouchers + "stop " + changed, ``, openapi.Nothing{}},
		{"alipay.marketing.activity.voucher.send", func(x ctx, c c, o ...openapi.Option) (a, r, error) {
			return of(c.VoucherSend(x, openapi.VoucherSend{ActivityChange: change, UserID: user}, o...))
		}, "POST " + vouchers + `send {"activity_id":"1","out_biz_no":"b","merchant_access_mode":"SELF_MODE","user_id":"` + user + `"}`, `{"voucher_id":"v"}`, openapi.VoucherSent{VoucherID: "v"}},
		{"alipay.marketing.activity.voucher.query", func(x ctx, c c, o ...openapi.Option) (a, r, error) { return of(c.VoucherQuery(x, one, o...)) },
			"GET " + vouchers + "query?activity_id=1&merchant_access_mode=AGENCY_MODE ",
			`{"activity_status":"ACTIVE","voucher_send_rule":{"voucher_quantity":"100"},"summary":{"publish_count":7},"audit_result_info":{"new":1}}`,
			openapi.Activity{ActivityStatus: openapi.ActivityActive, VoucherSendRule: &openapi.VoucherSendRule{VoucherQuantity: 100}, Summary: &openapi.VoucherSummary{PublishCount: 7}}},
		{"alipay.marketing.activity.query", func(x ctx, c c, o ...openapi.Option) (a, r, error) { return of(c.ActivityQuery(x, one, o...)) },
			"GET /v3/alipay/marketing/activity/1?merchant_access_mode=AGENCY_MODE ", `{"activity_id":1,"belong_merchant_id":"m"}`, openapi.Activity{ActivityID: "1", BelongMerchantID: "m"}},
		{"alipay.marketing.activity.batchquery", func(x ctx, c c, o ...openapi.Option) (a, r, error) {
			return of(c.ActivityBatchQuery(x, openapi.ActivityList{PageNum: 1, PageSize: 20, MerchantAccessMode: openapi.SelfMode}, o...))
		}, `POST /v3/alipay/marketing/activity/batchquery {"page_num":1,"page_size":20,"merchant_access_mode":"SELF_MODE"}`,
			`{"activity_lite_infos":[{"activity_base_info":{"activity_id":"9"}}],"total_size":"1"}`,
			openapi.ActivityPage{TotalSize: "1", ActivityLiteInfos: []openapi.ActivityLiteInfo{{ActivityBaseInfo: &openapi.ActivityBaseInfo{ActivityID: "9"}}}}},
		{"alipay.marketing.activity.ordervoucher.query", func(x ctx, c c, o ...openapi.Option) (a, r, error) { return of(c.OrderVoucherQuery(x, one, o...)) },
			"GET /v3/alipay/marketing/activity/ordervoucher/query?activity_id=1&merchant_access_mode=AGENCY_MODE ",
			`{"activity_status":"PAUSE","activity_operation_status":"FINISHEING"}`, openapi.Activity{ActivityStatus: openapi.ActivityPaused, ActivityOperationStatus: openapi.OperationFinishing}},
		{"alipay.marketing.activity.user.batchqueryvoucher", func(x ctx, c c, o ...openapi.Option) (a, r, error) {
			return of(c.UserVoucherBatchQuery(x, openapi.UserVoucherList{PageNum: 2, PageSize: 20, MerchantAccessMode: openapi.SelfMode, UserID: user, BelongMerchantID: "m"}, o...))
		}, "GET /v3/alipay/marketing/activity/ordervoucher/user/batchqueryvoucher?page_num=2&page_size=20&merchant_access_mode=SELF_MODE&user_id=" + user + "&belong_merchant_id=m ",
			`{"user_voucher_infos":[{"voucher_id":"v","voucher_status":"SENDED"}],"total_size":21}`,
			openapi.UserVoucherPage{TotalSize: 21, UserVoucherInfos: []openapi.UserVoucherInfo{{VoucherID: "v", VoucherStatus: "SENDED"}}}},
		{"alipay.marketing.activity.user.queryvoucher", func(x ctx, c c, o ...openapi.Option) (a, r, error) {
			return of(c.UserVoucherQuery(x, openapi.UserVoucherQuery{VoucherID: "v", MerchantAccessMode: openapi.SelfMode}, o...))
		}, "GET /v3/alipay/marketing/activity/ordervoucher/user/voucher?voucher_id=v&merchant_access_mode=SELF_MODE ", `{"voucher_status":"USED"}`, openapi.UserVoucher{VoucherStatus: "USED"}},
		{"alipay.marketing.card.open", func(x ctx, c c, o ...openapi.Option) (a, r, error) { return of(c.CardOpen(x, opening(), o...)) },
			"POST /v3/alipay/marketing/card/open?auth_token=" + userToken + ` {"out_serial_no":"s","card_template_id":"t","card_user_info":{"user_uni_id":"` + user + `","user_uni_id_type":"UID"},"card_ext_info":{"external_card_no":"E"}}`,
			`{"card_info":{"biz_card_no":"000001"}}`, openapi.CardOpened{CardInfo: &openapi.MerchantCard{BizCardNo: "000001"}}},
		{"alipay.marketing.card.query", func(x ctx, c c, o ...openapi.Option) (a, r, error) {
			return of(c.CardQuery(x, openapi.CardQuery{TargetCardNo: "28763", TargetCardNoType: openapi.DynamicQR}, o...))
		}, `POST /v3/alipay/marketing/card/query {"target_card_no":"28763","target_card_no_type":"D_QR_CODE"}`,
			`{"card_info":{"point":88,"mdcode_info":{"time_stamp":"1496996459"}},"schema_url":"alipays://a"}`,
			openapi.Card{SchemaURL: "alipays://a", CardInfo: &openapi.MerchantCard{Point: "88", MdcodeInfo: &openapi.MdCodeInfo{TimeStamp: 1496996459}}}},
		{"alipay.marketing.card.update", func(x ctx, c c, o ...openapi.Option) (a, r, error) {
			return of(c.CardUpdate(x, params(update).(openapi.CardUpdate), o...))
		},
			`POST /v3/alipay/marketing/card/update {"target_card_no":"1","target_card_no_type":"BIZ_CARD","occur_time":"2024-03-09 09:00:00","card_info":{"level":"VIP1"}}`,
			`{"result_code":"SUCCESS"}`, openapi.CardUpdated{ResultCode: "SUCCESS"}},
		{"alipay.marketing.card.delete", func(x ctx, c c, o ...openapi.Option) (a, r, error) {
			return of(c.CardDelete(x, openapi.CardDelete{OutSerialNo: "s", TargetCardNo: "1", TargetCardNoType: openapi.BizCard, ReasonCode: openapi.Unbound}, o...))
		}, "DELETE /v3/alipay/marketing/card/delete?out_serial_no=s&target_card_no=1&target_card_no_type=BIZ_CARD&reason_code=USER_UNBUND ", `{"biz_serial_no":"z"}`, openapi.CardDeleted{BizSerialNo: "z"}},
		{"alipay.marketing.card.template.query", func(x ctx, c c, o ...openapi.Option) (a, r, error) {
			return of(c.TemplateQuery(x, openapi.TemplateQuery{TemplateID: "t"}, o...))
		}, "GET /v3/alipay/marketing/card/template/query?template_id=t ", `{"card_type":"OUT_MEMBER_CARD","biz_no_suffix_len":10,"template_style_info":{"front_image_enable":"true"}}`,
			openapi.Template{CardType: "OUT_MEMBER_CARD", TemplateBlocks: openapi.TemplateBlocks{BizNoSuffixLen: "10", TemplateStyleInfo: &openapi.TemplateStyleInfo{FrontImageEnable: new(true)}}}},
		{"alipay.marketing.card.template.modify", func(x ctx, c c, o ...openapi.Option) (a, r, error) {
			return of(c.TemplateModify(x, openapi.TemplateModify{RequestID: "q", TemplateID: "t", TemplateBlocks: openapi.TemplateBlocks{TemplateStyleInfo: &openapi.TemplateStyleInfo{Slogan: "x"}}}, o...))
		}, `POST /v3/alipay/marketing/card/template/modify {"request_id":"q","template_id":"t","template_style_info":{"slogan":"x"}}`, `{"template_id":"t"}`, openapi.TemplateModified{TemplateID: "t"}},
		{"alipay.open.public.account.create", func(x ctx, c c, o ...openapi.Option) (a, r, error) {
			return of(c.AccountCreate(x, openapi.AccountBind{BindAccountNo: "n", DisplayName: "张三", FromUserID: user}, o...))
		}, `POST /v3/alipay/open/public/account/create {"bind_account_no":"n","display_name":"张三","from_user_id":"` + user + `"}`, `{"agreement_id":"29022222"}`, openapi.AccountBound{AgreementID: "29022222"}},
		{"alipay.open.public.account.reset", func(x ctx, c c, o ...openapi.Option) (a, r, error) {
			return of(c.AccountReset(x, openapi.AccountBind{BindAccountNo: "n", DisplayName: "张三", OpenID: "o", AgreementID: "g"}, o...))
		}, `POST /v3/alipay/open/public/account/reset {"bind_account_no":"n","display_name":"张三","open_id":"o","agreement_id":"g"}`, `{"agreement_id":"h"}`, openapi.AccountBound{AgreementID: "h"}},
		{"alipay.open.public.account.delete", func(x ctx, c c, o ...openapi.Option) (a, r, error) {
			return of(c.AccountDelete(x, openapi.AccountDelete{BindAccountNo: "n", FromUserID: user}, o...))
		}, "DELETE /v3/alipay/open/public/account/delete?bind_account_no=n&from_user_id=" + user + " ", ``, openapi.Nothing{}},
		{"alipay.open.public.account.query", func(x ctx, c c, o ...openapi.Option) (a, r, error) {
			return of(c.AccountQuery(x, openapi.AccountQuery{UserID: user}, o...))
		}, "GET /v3/alipay/open/public/account/query?user_id=" + user + " ", `{"public_bind_accounts":[{"agreement_id":"g","bind_account_no":"n"}]}`,
			openapi.Accounts{PublicBindAccounts: []openapi.PublicBindAccount{{AgreementID: "g", BindAccountNo: "n"}}}},
	}
}

// TestTypedCalls makes every typed call over both protocols: the bytes that are
// sent, the fields that are read, leniently where Alipay's types vary, and the
// whole answer kept.
func TestTypedCalls(t *testing.T) {
	t.Parallel()
	all := calls()
	if len(all) != len(typedOperations) {
		t.Fatalf("%d calls, %d typed operations", len(all), len(typedOperations))
	}
	for _, tt := range all {
		t.Run(tt.method, func(t *testing.T) {
			t.Parallel()
			var got string
			c := against(t, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				got = r.Method + " " + r.RequestURI + " " + string(body)
				if r.URL.Path == "/gateway.do" {
					node := `{"code":"10000","msg":"Success"` + strings.Replace(strings.TrimPrefix(tt.answer, "{"), `"`, `,"`, 1)
					if tt.answer == "" || tt.answer == "{}" {
						node = `{"code":"10000","msg":"Success"}`
					}
					answerV2(t, w, strings.ReplaceAll(tt.method, ".", "_")+"_response", node)
					return
				}
				answerV3(t, w, http.StatusOK, tt.answer)
			})
			value, resp, err := tt.do(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.sends {
				t.Errorf("sent\n%s\nwant\n%s", got, tt.sends)
			}
			if diff := cmp.Diff(tt.reads, value); diff != "" {
				t.Error(diff)
			}
			want := tt.answer
			if want == "" {
				want = "{}"
			}
			if string(resp.Data) != want || resp.KeyID != "alipay-1" || resp.TraceID != "trace-1" || resp.Attempts != 1 || resp.Method != tt.method {
				t.Errorf("%+v", resp)
			}
			value, resp, err = tt.do(t.Context(), c, openapi.Over(openapi.V2))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.reads, value); diff != "" || resp.TraceID != "trace-2" || resp.RequestID != "" {
				t.Errorf("%s\n%+v", diff, resp)
			}
		})
	}
}

// Options reach the request.
func TestOptions(t *testing.T) {
	t.Parallel()
	c := against(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("alipay-app-auth-token") != token || r.Header.Get("alipay-encrypt-type") != "AES" {
			t.Errorf("%v", r.Header)
		}
		answerV3(t, w, http.StatusOK, "{}")
	}, func(cfg *openapi.Config) { cfg.AESKeys = []openapi.Secret{aesKey} })
	if _, err := c.CardQuery(t.Context(), card(), openapi.OnBehalf(token), openapi.Encrypted()); err != nil {
		t.Fatal(err)
	}
}

// A caller's own map and structs are as they were: gopay adds its parameters to them.
func TestParametersAreNotChanged(t *testing.T) {
	t.Parallel()
	c := client(t, via(func(*http.Request) (*http.Response, error) { return nil, errSeen }))
	in, public := map[string]any{"out_trade_no": "1"}, map[string]string{"notify_url": "https://a"}
	_, _ = c.Call(t.Context(), openapi.Request{Method: "alipay.trade.query", Gateway: openapi.V2, Params: in, Public: public})
	base := openapi.ActivityBaseInfo{ActivityName: "n"}
	_, _ = c.VoucherModify(t.Context(), openapi.VoucherModify{OutBizNo: "b", MerchantAccessMode: "SELF_MODE", ActivityID: "1", ActivityBaseInfo: &base})
	if len(in) != 1 || len(public) != 1 || base != (openapi.ActivityBaseInfo{ActivityName: "n"}) {
		t.Errorf("%v, %v, %+v", in, public, base)
	}
}

// Null is absent: Alipay's own client in Java once signed the word.
func TestNullIsAbsent(t *testing.T) {
	t.Parallel()
	for _, gateway := range []openapi.Gateway{openapi.V3, openapi.V2} {
		plan, err := client(t, func(*openapi.Config) {}).Plan(openapi.Request{
			Method: query, Gateway: gateway, Params: []byte(`{"target_card_no":"1","ext_info":null,"target_card_no_type":"BIZ_CARD","misspelt":1}`),
		})
		if err != nil || plan.Body != `{"target_card_no":"1","target_card_no_type":"BIZ_CARD","misspelt":1}` || len(plan.Unknown) != 1 || plan.Unknown[0] != "misspelt" {
			t.Errorf("%+v, %v", plan, err)
		}
	}
}

// One client, many goroutines (make test runs it with the race detector): a fork
// of gopay found a race in the verification of encrypted answers there.
func TestConcurrentCalls(t *testing.T) {
	t.Parallel()
	c := against(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gateway.do" {
			answerV2(t, w, "alipay_marketing_card_query_response", `{"code":"10000","schema_url":"a"}`)
			return
		}
		body, err := openapi.Encrypt(aesKey, `{"schema_url":"a"}`)
		if err != nil {
			t.Error(err)
		}
		answerV3(t, w, http.StatusOK, body)
	}, func(cfg *openapi.Config) { cfg.AESKeys, cfg.Encrypt = []openapi.Secret{aesKey}, true })
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			r, err := c.CardQuery(t.Context(), card(), openapi.Over([]openapi.Gateway{openapi.V3, openapi.V2}[i%2]))
			if err != nil || r.Value.SchemaURL != "a" {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	wg.Wait()
}

// One field of an unexpected type hides no other.
func TestDecode(t *testing.T) {
	t.Parallel()
	var got openapi.Activity
	unread, err := openapi.Decode([]byte(`{"activity_id":7,"activity_name":true,"summary":{"publish_count":"many","used_count":"12"},"voucher_send_rule":{"real_name_limit":"TRUE","voucher_quantity":""},"publish_end_time":null,"voucher_use_rule":[]}`), &got)
	want := openapi.Activity{
		ActivityID: "7", ActivityName: "true", Summary: &openapi.VoucherSummary{UsedCount: 12},
		VoucherSendRule: &openapi.VoucherSendRule{RealNameLimit: new(true)},
	}
	got.VoucherUseRule = nil // what is left of a list where an object belongs is not promised
	if diff := cmp.Diff(want, got); diff != "" || err != nil || unread == "" {
		t.Errorf("%s, unread %q, %v", diff, unread, err)
	}
	if _, err := openapi.Decode([]byte(`{`), &got); err == nil {
		t.Error("half an object is read")
	}
}
