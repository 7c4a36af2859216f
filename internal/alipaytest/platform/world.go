package platform

import (
	"fmt"
	"slices"
	"time"
)

// What no call can bring about, tests do: users pay and use vouchers, Alipay
// pauses an activity, and a merchant has thousands of them from long ago.

// find is the app of that id; the only app there is needs no name.
func (p *Platform) find(appID string) (*app, error) {
	if a := p.apps[appID]; a != nil {
		return a, nil
	}
	if appID == "" && len(p.apps) == 1 {
		for _, a := range p.apps {
			return a, nil
		}
	}
	return nil, fmt.Errorf("there is no app %q", appID)
}

// AddTrade makes a trade that alipay.trade.query finds.
func (p *Platform) AddTrade(appID string, t Trade) error {
	a, err := p.find(appID)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.TradeNo == "" {
		t.TradeNo = day(time.Now()) + "22001" + digits(p.draw("trade", a.ID, t.OutTradeNo), 15)
	}
	a.trades = append(a.trades, t)
	return nil
}

// AddTemplate makes a card template.
func (p *Platform) AddTemplate(appID, templateID string) error {
	a, err := p.find(appID)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	a.templates[templateID] = defaultTemplate()
	return nil
}

// AddActivities makes n 支付券 activities in a state, and gives their ids. It
// causes what Alipay told about such activities: created, and stopped for
// FINISHED. Their out_biz_no is preset-1 and so on, for created, and
// preset-1-stop for stopped.
func (p *Platform) AddActivities(appID string, n int, status string) ([]string, error) {
	a, err := p.find(appID)
	if err != nil {
		return nil, err
	}
	if n < 1 || !slices.Contains([]string{initial, active, paused, finished}, status) {
		return nil, fmt.Errorf("%d activities in state %q: want 1 or more, and INIT, ACTIVE, PAUSE or FINISHED", n, status)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := make([]string, n)
	for i := range ids {
		number := "preset-" + itoa(len(a.order)+1)
		c := &call{op: byMethod("alipay.marketing.activity.voucher.create"), app: a, at: time.Now(), params: object{
			"out_biz_no": number, "activity_base_info": object{"activity_name": number}, "voucher_send_rule": object{},
		}}
		made, prob := p.newActivity(c, false)
		if prob != nil {
			return nil, prob
		}
		made.status, made.stopped, made.quantity = status, status == finished, 1000
		ids[i] = made.id
		told := map[string]string{"voucher.created": number}
		if status == initial {
			clear(told)
		}
		if status == finished {
			told["voucher.stopped"] = number + "-stop"
		}
		for _, typ := range []string{"voucher.created", "voucher.stopped"} {
			if number := told[typ]; number != "" {
				p.later(&event{app: a, typ: typ, key: made.id, number: number, payload: activityPayload(made.id, number)}, func() {})
			}
		}
	}
	return ids, nil
}

// SetActivity puts an activity into a state, and tells nobody.
func (p *Platform) SetActivity(appID, id, status string) error {
	a, err := p.find(appID)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	one := a.activities[id]
	if one == nil || !slices.Contains([]string{notYet, initial, active, paused, finished}, status) {
		return fmt.Errorf("there is no activity %q, or no state %q", id, status)
	}
	one.status = status
	return nil
}

// SetVoucher puts a user's voucher into a state, and tells nobody.
func (p *Platform) SetVoucher(appID, id, status string) error {
	a, err := p.find(appID)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	v := a.vouchers[id]
	if v == nil || !slices.Contains([]string{sended, used, expired}, status) {
		return fmt.Errorf("there is no voucher %q, or no state %q", id, status)
	}
	if status == used && v.status != used {
		v.activity.used++
	}
	v.status = status
	return nil
}
