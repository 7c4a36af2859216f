package openapi_test

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"

	"alipay-notify/internal/openapi"
)

// Keys come from the configuration; this shows how a client is used.
func Example() {
	var app *rsa.PrivateKey
	var alipay *rsa.PublicKey
	ctx := context.Background()

	c, err := openapi.New(openapi.Config{
		AppID: "2021000000000001", PrivateKey: app,
		AlipayKeys: []openapi.AlipayKey{{ID: "alipay-2024", Key: alipay}},
	})
	if err != nil {
		return // every problem of the configuration at once
	}
	defer c.Close()

	card, err := c.CardQuery(ctx, openapi.CardQuery{TargetCardNo: "000001", TargetCardNoType: openapi.BizCard}, openapi.Over(openapi.V2))
	if err == nil {
		fmt.Println(card.Value.CardInfo.Level, string(card.Data))
	}

	stop := openapi.ActivityChange{ActivityID: "2016", OutBizNo: "stop-2016-1", MerchantAccessMode: openapi.SelfMode}
	_, err = c.VoucherStop(ctx, stop)
	if e, ok := errors.AsType[*openapi.Error](err); ok && e.MayHaveHappened() {
		_, err = c.VoucherStop(ctx, stop) // the same number: harmless
	}
	if err != nil {
		fmt.Println(err) // what happened, how sure that is, what to do next
	}

	trade := openapi.Request{Method: "alipay.trade.query", Gateway: openapi.V2, Params: map[string]string{"out_trade_no": "1"}}
	if plan, err := c.Plan(trade); err == nil {
		fmt.Println(plan.Effect, plan.URL, plan.Body)
	}
	_, _ = c.Call(ctx, trade)
}
