package platform

import "slices"

// Trade is a payment that alipay.trade.query finds. None is made by a call:
// tests add them.
type Trade struct {
	OutTradeNo string `json:"out_trade_no"`
	TradeNo    string `json:"trade_no"` // empty is a new one
	Status     string `json:"trade_status"`
	Amount     string `json:"total_amount"`
}

// queryTrade finds a trade by either number; when both are given, trade_no
// decides.
func (p *Platform) queryTrade(c *call) (object, *problem) {
	out, no := c.text("out_trade_no"), c.text("trade_no")
	if out == "" && no == "" {
		return nil, c.invalid("out_trade_no和trade_no不能同时为空")
	}
	i := slices.IndexFunc(c.app.trades, func(t Trade) bool {
		return no != "" && t.TradeNo == no || no == "" && t.OutTradeNo == out
	})
	if i < 0 {
		return nil, decline("ACQ.TRADE_NOT_EXIST", "交易不存在")
	}
	t := c.app.trades[i]
	return object{"out_trade_no": t.OutTradeNo, "trade_no": t.TradeNo, "trade_status": t.Status, "total_amount": t.Amount}, nil
}
