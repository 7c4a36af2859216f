package platform

// What can be done with voucher activities. create of a 支付券 is done at once
// and tells nobody; publish, modify, append and stop are accepted, stay in
// flight for a while, and then cause one notification each. For 商家券 it is
// create that causes voucher.created (PROTOCOL.md 0 item 4, 2.1, 5.2).

func (p *Platform) createVoucher(c *call) (object, *problem) {
	a, prob := p.newActivity(c, false)
	if prob != nil {
		return nil, prob
	}
	a.status = initial
	return object{"activity_id": a.id}, nil
}

func (p *Platform) createOrderVoucher(c *call) (object, *problem) {
	a, prob := p.newActivity(c, true)
	if prob != nil {
		return nil, prob
	}
	p.start(c, a, creating, "voucher.created", func() { a.status = active })
	return object{"activity_id": a.id}, nil
}

func (p *Platform) publishVoucher(c *call) (object, *problem) {
	a, prob := c.findActivity(false)
	if prob == nil {
		prob = c.idle(a, initial)
	}
	if prob != nil {
		return nil, prob
	}
	p.start(c, a, creating, "voucher.created", func() { a.status = active })
	return a.recharge(), nil
}

func (p *Platform) modifyActivity(c *call) (object, *problem) {
	a, prob := c.findActivity(c.op.verb == "PATCH")
	if prob == nil {
		prob = c.idle(a, active, paused)
	}
	if prob != nil {
		return nil, prob
	}
	change, prob := c.change(a)
	if prob != nil {
		return nil, prob
	}
	p.start(c, a, modifying, "voucher.modified", change)
	return object{}, nil
}

func (p *Platform) appendActivity(c *call) (object, *problem) {
	a, prob := c.findActivity(c.op.verb == "PATCH")
	if prob == nil {
		prob = c.idle(a, active, paused)
	}
	if prob != nil {
		return nil, prob
	}
	total, _ := c.number("voucher_quantity")
	if total <= a.quantity || total > maxQuantity {
		return nil, c.invalid("voucher_quantity为追加后的总数，应大于%d且不超过%d", a.quantity, maxQuantity)
	}
	p.start(c, a, appending, "voucher.appended", func() { a.quantity = total })
	return a.recharge(), nil
}

func (p *Platform) stopActivity(c *call) (object, *problem) {
	a, prob := c.findActivity(c.op.verb == "PATCH")
	if prob == nil {
		prob = c.idle(a, active, paused)
	}
	if prob != nil {
		return nil, prob
	}
	p.start(c, a, finishing, "voucher.stopped", func() { a.status, a.stopped = finished, true })
	return object{}, nil
}

// start puts an operation on its way.
func (p *Platform) start(c *call, a *activity, operation, typ string, finish func()) {
	a.operation = operation
	p.later(&event{app: c.app, typ: typ, key: a.id, number: c.text("out_biz_no"), payload: activityPayload(a.id, c.text("out_biz_no"))},
		func() {
			finish()
			a.operation = ""
		})
}

func (p *Platform) queryVoucher(c *call) (object, *problem) {
	a, prob := c.findActivity(false)
	if prob != nil {
		return nil, prob
	}
	return a.view(c.at), nil
}

func (p *Platform) queryOrderVoucher(c *call) (object, *problem) {
	a, prob := c.findActivity(true)
	if prob != nil {
		return nil, prob
	}
	return a.view(c.at), nil
}

// queryActivity answers for both families, about what was activated.
func (p *Platform) queryActivity(c *call) (object, *problem) {
	id, merchant := c.text("activity_id"), c.text("merchant_id")
	a := c.app.activities[id]
	if a == nil {
		for _, other := range p.apps {
			if other.activities[id] != nil {
				return nil, decline("ACTIVITY_NOT_PERMISSION", "无活动权限")
			}
		}
		return nil, c.invalid("活动不存在")
	}
	switch {
	case merchant != "" && merchant != a.merchantID:
		return nil, decline("ACTIVITY_NOT_PERMISSION", "无活动权限")
	case a.status == notYet, a.status == initial:
		return nil, decline("ACTIVITY_NOT_ACTIVE", "活动未激活")
	}
	out := a.view(c.at)
	out["belong_merchant_id"] = a.merchantID
	return out, nil
}

// batchQuery lists the newest first, so that pages shift when an activity is
// made while somebody reads them. total_size is a text (models of the SDK).
func (p *Platform) batchQuery(c *call) (object, *problem) {
	status, merchant := c.text("activity_status"), c.text("merchant_id")
	var found []any
	for i := len(c.app.order) - 1; i >= 0; i-- {
		a := c.app.order[i]
		if (status == "" || status == a.statusAt(c.at)) && (merchant == "" || merchant == a.merchantID) {
			found = append(found, a)
		}
	}
	out, prob := c.page(found, "activity_lite_infos", 100)
	if prob != nil {
		return nil, prob
	}
	for i, one := range out["activity_lite_infos"].([]any) {
		a := one.(*activity)
		view := a.view(c.at)
		view["create_time"], view["belong_merchant_id"] = clock(a.created), a.merchantID
		out["activity_lite_infos"].([]any)[i] = view
	}
	out["total_size"] = itoa(len(found))
	return out, nil
}
