package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/config"
	"alipay-notify/internal/openapi"
	"alipay-notify/internal/reconcile"
)

// newActivityState takes out of an answer what a comparison needs. The older and
// the newer form of a field say the same.
func newActivityState(r openapi.Result[openapi.Activity]) reconcile.State {
	a := r.Value
	s := reconcile.State{Status: a.ActivityStatus, Operation: a.ActivityOperationStatus, Ends: clock(a.PublishEndTime), Data: r.Data}
	if b := a.ActivityBaseInfo; b != nil {
		s.Status = cmp.Or(s.Status, b.ActivityStatus)
		s.Operation = cmp.Or(s.Operation, b.ActivityOperationStatus)
	}
	if m := a.VoucherSendModeInfo; m != nil && m.VoucherSendRuleInfo != nil {
		s.Total = m.VoucherSendRuleInfo.Quantity
		if s.Ends.IsZero() {
			s.Ends = clock(m.VoucherSendRuleInfo.PublishEndTime)
		}
	}
	if v := a.VoucherSendRule; v != nil {
		s.Total = cmp.Or(s.Total, v.VoucherQuantity)
	}
	if v := a.VoucherInventoryInfo; v != nil {
		s.Given = v.SendCount
	}
	if v := a.Summary; v != nil {
		s.Given = cmp.Or(s.Given, v.PublishCount)
	}
	return s
}

// alipay asks Alipay about items of any configured app: reconcile's Asker.
type alipay struct {
	cfg  config.Config
	mode string
	over openapi.Option
	tune func(*openapi.Config)

	mu      sync.Mutex
	clients map[string]*openapi.Client
	family  atomic.Int32 // of families: what the last activity was
}

// families are the two that a voucher activity can be of. Its id does not say
// which, and each has a query of its own.
var families = []string{"voucher", "ordervoucher"}

// client is the app's; apps share nothing.
func (a *alipay) client(app string) (*openapi.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.clients[app]; c != nil {
		return c, nil
	}
	c, err := wire.OpenAPI(a.cfg, app, a.tune)
	if err != nil {
		return nil, err
	}
	if a.clients == nil {
		a.clients = make(map[string]*openapi.Client)
	}
	a.clients[app] = c
	return c, nil
}

// close ends the connections.
func (a *alipay) close() {
	for _, c := range a.clients {
		c.Close()
	}
}

// Ask asks for one item.
func (a *alipay) Ask(ctx context.Context, item reconcile.Item) (reconcile.State, error) {
	c, err := a.client(item.App)
	if err != nil { // what others write into files and expectations is not checked before
		return reconcile.State{}, reconcile.AboutItem(err)
	}
	var s reconcile.State
	switch item.Entity {
	case reconcile.Card:
		s, err = a.askCard(ctx, c, item.Key)
	case reconcile.Voucher:
		s, err = a.askActivity(ctx, c, item.Key)
	default:
		err = reconcile.AboutItem(fmt.Errorf("nobody can ask for a %s", item.Entity))
	}
	if e := openapi.As(err); e != nil && e.Kind == openapi.Invalid { // a key that cannot be one
		err = reconcile.AboutItem(err)
	}
	return s, err
}

// askActivity asks by the family that fitted last, and then by the other one.
func (a *alipay) askActivity(ctx context.Context, c *openapi.Client, key string) (reconcile.State, error) {
	in := openapi.ActivityQuery{ActivityID: key, MerchantAccessMode: a.mode}
	first := int(a.family.Load())
	var s reconcile.State
	for i := range families {
		at := (first + i) % len(families)
		r, err := askActivity(ctx, c, families[at], in, a.over)
		why, unknown := unknownToAlipay(err)
		switch {
		case unknown:
			s = reconcile.State{Unknown: true, Why: why}
		case err != nil:
			return reconcile.State{}, err
		default:
			a.family.Store(int32(at)) //nolint:gosec // it is 0 or 1
			return newActivityState(r), nil
		}
	}
	return s, nil
}

func (a *alipay) askCard(ctx context.Context, c *openapi.Client, key string) (reconcile.State, error) {
	r, err := c.CardQuery(ctx, openapi.CardQuery{TargetCardNo: key, TargetCardNoType: openapi.BizCard}, a.over)
	why, unknown := unknownToAlipay(err)
	switch e := openapi.As(err); {
	case unknown && e.Reason() == "INVALID_PARAMETER": // a card has a word of its own
		return reconcile.State{}, err
	case unknown:
		return reconcile.State{Unknown: true, Why: why}, nil
	case err != nil:
		return reconcile.State{}, err
	case r.Value.CardInfo == nil:
		return reconcile.State{}, errors.New("the answer has no card")
	}
	return reconcile.State{Status: "EXISTS", Born: clock(r.Value.CardInfo.OpenDate), Data: r.Data}, nil
}
