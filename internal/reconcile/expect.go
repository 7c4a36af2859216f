package reconcile

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"alipay-notify/internal/events"
)

// ExpectationSchema names the JSON Schema of an Expectation,
// schemas/expectation.v1.json.
const ExpectationSchema = "urn:alipay-notify:schema:expectation:v1"

// Expectation is a record of ALIPAY_EXPECT: somebody who called Alipay expects an
// event. Any NATS client can write one.
type Expectation struct {
	Schema      string          `json:"schema"`
	AppID       string          `json:"app_id"`
	Type        string          `json:"type"` // entity.action
	Key         string          `json:"key"`
	OutBizNo    string          `json:"out_biz_no,omitempty"`
	Requested   json.RawMessage `json:"requested,omitempty"` // what was asked for, under Alipay's names
	RequestedAt time.Time       `json:"requested_at,omitzero"`
	Due         time.Time       `json:"due"`
	By          string          `json:"by,omitempty"` // who expects it
}

// maxValues bounds what an expectation keeps of a request.
const maxValues = 32 << 10

// ParseExpectation reads a record. It is strict about what a conclusion is drawn
// from, and tolerates members that it does not know.
func ParseExpectation(value []byte) (Expectation, error) {
	var x Expectation
	if err := json.Unmarshal(value, &x); err != nil {
		return x, fmt.Errorf("it is no expectation: %w", err)
	}
	return x, x.Check()
}

// Check says what is wrong with an expectation.
func (x Expectation) Check() error {
	var wrong []error
	problem := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if x.Schema != ExpectationSchema {
		problem("schema is not %s", ExpectationSchema)
	}
	if x.AppID == "" || strings.Trim(x.AppID, "0123456789") != "" {
		problem("app_id is not digits")
	}
	if _, known := events.KindByName(x.Type); !known {
		problem("type is no entity.action of the catalogue, such as voucher.stopped")
	}
	if x.Key == "" || len(x.Key) > 128 || len(x.OutBizNo) > 128 {
		problem("key is missing, or key or out_biz_no is over 128 bytes")
	}
	if r := bytes.TrimSpace(x.Requested); len(r) > maxValues || len(r) > 0 && r[0] != '{' {
		problem("requested is not an object, or over %d bytes", maxValues)
	}
	if x.Due.IsZero() {
		problem("due is missing")
	}
	return errors.Join(wrong...)
}

// Name is the expectation's key in ALIPAY_EXPECT: app, entity, action, key and
// out_biz_no, each as a subject token. The same call is expected once.
func (x Expectation) Name() string {
	entity, action, _ := strings.Cut(x.Type, ".")
	return strings.Join([]string{
		events.Token(x.AppID), events.Token(entity), events.Token(action), events.Token(x.Key), events.Token(x.OutBizNo),
	}, ".")
}

// ExpectationsOf is where the expectations of an item are: a * stands for one
// part of a name.
func ExpectationsOf(item Item) string {
	return strings.Join([]string{events.Token(item.App), item.Entity, "*", events.Token(item.Key), "*"}, ".")
}

// Request is the operation whose event is expected.
func (x Expectation) Request() Request {
	return Request{
		Kind: x.Type, OutBizNo: x.OutBizNo, Values: x.Requested, At: x.RequestedAt, Due: x.Due, Source: "an expectation",
	}
}

// item is what the expectation is about.
func (x Expectation) item() Item {
	entity, _, _ := strings.Cut(x.Type, ".")
	return Item{App: x.AppID, Entity: entity, Key: x.Key}
}

// provable tells whether a query can prove that the event is missing.
func (x Expectation) provable() bool {
	switch x.Type {
	case Created, Modified, Appended, Stopped, Opened:
		return true
	}
	return false
}

// fits tells whether a stored event is the one that is expected.
func (x Expectation) fits(m events.Stored) bool {
	e := newSeen(x.Type, m)
	switch {
	case m.Key != x.Key, m.Replayed():
		return false
	case x.Type == Created, x.Type == Stopped, x.Type == Opened: // there is one
		return true
	case x.OutBizNo != "" && e.outBizNo != "":
		return x.OutBizNo == e.outBizNo
	case x.OutBizNo != "" && (x.Type == Modified || x.Type == Appended):
		return false
	}
	return x.RequestedAt.IsZero() || !e.stored.Before(x.RequestedAt)
}

// answer picks from the report on an expectation's item what is about it.
func (x Expectation) answer(r Report) Finding {
	best := Finding{Kind: x.Type, OutBizNo: x.OutBizNo, Verdict: InStep}
	for i := len(r.Findings) - 1; i >= 0; i-- { // the worst is the first
		f := r.Findings[i]
		same := f.OutBizNo == x.OutBizNo || x.Type != Modified && x.Type != Appended
		if f.Verdict == NotAsked || f.Kind == "" || f.Kind == x.Type && same {
			best = f
			best.Kind, best.OutBizNo = x.Type, cmp.Or(f.OutBizNo, x.OutBizNo)
		}
	}
	return best
}
