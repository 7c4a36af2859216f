package reconcile

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"alipay-notify/internal/events"
)

// justOver is how near its end an activity may have ended by itself: clocks differ.
const justOver = 10 * time.Minute

// skew is by how much Alipay's clock, which tells whole seconds, and that of the
// archive may differ.
const skew = time.Minute

// Limits are what a judgement depends on beside state and events.
type Limits struct {
	Began time.Time     // since when the archive has everything; what happened before is not missing. Zero: always
	Late  time.Duration // how long after the fact an event is late; 0: never
}

// judge holds one item against what is stored of it. It is the evidence table of
// PROTOCOL.md 5.2, used once.
type judge struct {
	Limits
	now   time.Time
	item  Item
	state State
	past  history
	taken map[uint64]bool // events that confirm a request
	out   *Report
}

// assess says what is missing, and what cannot be told.
func assess(l Limits, now time.Time, item Item, state State, past history) Report {
	r := Report{Item: item, State: state, AskedAt: now}
	j := &judge{Limits: l, now: now, item: item, state: state, past: past, taken: make(map[uint64]bool), out: &r}
	switch {
	case item.Entity == Card:
		j.card()
	case state.Unknown:
		j.unknown()
	default:
		j.created()
		j.stopped()
		j.changes(Modified)
		j.changes(Appended)
	}
	j.orderOfEvents()
	r.settle()
	return r
}

func (j *judge) say(f Finding, v Verdict, format string, args ...any) {
	f.Verdict, f.Why = v, fmt.Sprintf(format, args...)
	if f.request > 0 && f.OutBizNo == "" {
		f.OutBizNo = j.item.Requests[f.request-1].OutBizNo
	}
	j.out.Findings = append(j.out.Findings, f)
}

// unknown answers each request, or else speaks once.
func (j *judge) unknown() {
	stored := ""
	if n := j.past.count(); n > 0 {
		stored = fmt.Sprintf("; %d events of it are stored", n)
	}
	for i := range j.item.Requests {
		j.say(Finding{Kind: j.item.Requests[i].Kind, request: i + 1}, Unknown, "%s%s", j.state.Why, stored)
	}
	if len(j.item.Requests) == 0 {
		j.say(Finding{}, Unknown, "%s%s", j.state.Why, stored)
	}
}

// live tells whether the activity was published once.
func (j *judge) live() bool {
	switch j.state.Status {
	case statusActive, statusPaused, statusFinished:
		return true
	}
	return false
}

// over tells whether the activity's time has run out, so that it may be FINISHED
// without a stop.
func (j *judge) over() bool { return j.now.After(j.state.Ends.Add(-justOver)) }

// created judges voucher.created, which follows publish (of 商家券: create).
func (j *judge) created() {
	f, has := j.single(Created)
	switch {
	case !slices.Contains([]string{statusNone, statusInit, statusActive, statusPaused, statusFinished}, j.state.Status):
		j.say(f, Unexplained, "activity_status %q is none that is known", j.state.Status)
	case has && j.live():
		j.say(f, InStep, "")
	case j.live() && j.state.Status == statusFinished && !j.state.Ends.IsZero() && j.over() && !j.lived():
		j.say(f, CannotTell, "it ended by its date, and nothing shows that it was ever published")
	case j.live():
		j.proved(f, statusActive, "activity_status is "+j.state.Status)
	case j.state.Operation != "":
		if has || f.request > 0 {
			j.say(f, CannotTell, "Alipay is at work on it: %s", j.state.Operation)
		}
	case has:
		j.say(f, Unexplained, "voucher.created is stored, and activity_status is %s", j.status())
	default:
		j.undone(f)
	}
}

// stopped judges voucher.stopped. A state of FINISHED proves it only as long as
// the activity cannot have ended by its own date.
func (j *judge) stopped() {
	f, has := j.single(Stopped)
	finished := j.state.Status == statusFinished
	switch {
	case has && finished:
		j.say(f, InStep, "")
	case finished && j.state.Ends.IsZero():
		j.say(f, CannotTell, "FINISHED, and Alipay does not tell publish_end_time: it may have ended by itself")
	case finished && j.over():
		j.say(f, CannotTell, "FINISHED, and its time was over at %s: it may have ended by itself", stamp(j.state.Ends))
	case finished:
		j.proved(f, statusFinished, "activity_status is FINISHED, before its time is over at "+stamp(j.state.Ends))
	case j.state.Operation != "":
		if has || f.request > 0 {
			j.say(f, CannotTell, "Alipay is at work on it: %s", j.state.Operation)
		}
	case has:
		j.say(f, Unexplained, "voucher.stopped is stored, and activity_status is %s", j.status())
	default:
		j.undone(f)
	}
}

// undone is about a request that the state says was not done.
func (j *judge) undone(f Finding) {
	switch {
	case f.request == 0:
	case j.item.Requests[f.request-1].Doubtful:
		j.say(f, CannotTell, "activity_status is %s: not done; whether Alipay took the request is not known", j.status())
	default:
		j.say(f, Unexplained, "it was asked for, and activity_status is %s: not done", j.status())
	}
}

func (j *judge) status() string {
	if j.state.Status == statusNone {
		return "empty (not created yet)"
	}
	return j.state.Status
}

// card judges card.open_result: a card that Alipay knows was opened.
func (j *judge) card() {
	f, has := j.single(Opened)
	refused := has && !slices.ContainsFunc(j.past.events[Opened], func(e seen) bool { return !e.failed })
	switch {
	case j.state.Unknown && has && !refused:
		j.say(f, CannotTell, "%s; its event is stored, so it was deleted since, or is another app's", j.state.Why)
	case j.state.Unknown:
		j.unknown()
	case refused:
		j.say(f, Unexplained, "the event says that it was not opened, and Alipay knows the card")
	case has:
		j.say(f, InStep, "")
	default:
		j.proved(f, "OPEN", "card.query knows the card")
	}
}

// single begins the finding of a kind of which an item has at most one event.
func (j *judge) single(kind string) (f Finding, has bool) {
	f.Kind = kind
	for i, r := range j.item.Requests {
		if r.Kind == kind && (f.request == 0 || !r.Doubtful) {
			f.request, f.OutBizNo = i+1, r.OutBizNo
		}
	}
	for _, e := range j.past.events[kind] {
		f.Sequence = e.sequence
		j.taken[e.sequence] = true
		if f.OutBizNo == "" {
			f.OutBizNo = e.outBizNo
		}
		j.tooLate(f, e)
		has = true
	}
	return f, has
}

// proved is about something that happened, and of which no event is stored.
func (j *judge) proved(f Finding, proof, how string) {
	id := events.Inferred{Kind: f.Kind, Key: j.item.Key, State: proof}.ID()
	if at, before := j.past.inferred[id]; before {
		f.Sequence = at
		j.say(f, Inferred, "%s, and no event says so; it was concluded before", how)
		return
	}
	if why := j.tooOld(f); why != "" {
		j.say(f, CannotTell, "%s; %s", how, why)
		return
	}
	f.Proof, f.Data = proof, j.data(f)
	j.say(f, Missing, "%s, and no event says so", how)
}

// tooOld says why an event that is not stored may have been, once: it may be
// older than the archive.
func (j *judge) tooOld(f Finding) string {
	if j.Began.IsZero() {
		return ""
	}
	const older = "the archive begins at %s, and %s"
	if f.request > 0 {
		if at := j.item.Requests[f.request-1].At; !at.IsZero() {
			if at.Add(skew).Before(j.Began) {
				return fmt.Sprintf(older, stamp(j.Began), "the request is older")
			}
			return ""
		}
	}
	born := j.born()
	if born.IsZero() || !born.Add(skew).Before(j.Began) || f.Kind == Stopped && j.past.alive {
		return ""
	}
	return fmt.Sprintf(older, stamp(j.Began), "it may have happened before")
}

// born is the latest moment at which the item can have come into being; zero
// where nothing says so.
func (j *judge) born() time.Time {
	if !j.item.Born.IsZero() {
		return j.item.Born
	}
	if j.item.Entity == Card {
		return j.state.Born
	}
	// Alipay's activity ids begin with their day. No document promises it, so it
	// only ever withholds an alarm.
	if key := j.item.Key; len(key) > 20 {
		if day, err := time.ParseInLocation("20060102", key[:8], beijing); err == nil && day.Year() > 2010 && day.Before(j.now) {
			return day.AddDate(0, 0, 1)
		}
	}
	return time.Time{}
}

// lived tells whether something shows that the activity was published.
func (j *judge) lived() bool {
	return j.state.Given > 0 || j.past.alive || slices.ContainsFunc(j.item.Requests, func(r Request) bool { return !r.Doubtful })
}

// data is what an inferred event can say.
func (j *judge) data(f Finding) json.RawMessage {
	var v any = struct {
		ActivityID string `json:"activity_id"`
		OutBizNo   string `json:"out_biz_no,omitempty"`
	}{j.item.Key, f.OutBizNo}
	if j.item.Entity == Card {
		var told struct {
			Card struct {
				TemplateID     string `json:"template_id"`
				ExternalCardNo string `json:"external_card_no"`
			} `json:"card_info"`
		}
		_ = json.Unmarshal(j.state.Data, &told) // what it does not tell is left out
		v = struct {
			TemplateID     string `json:"template_id,omitempty"`
			BizCardNo      string `json:"biz_card_no"`
			ExternalCardNo string `json:"external_card_no,omitempty"`
			Success        bool   `json:"success"`
		}{told.Card.TemplateID, j.item.Key, told.Card.ExternalCardNo, true}
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil // not reached: these are texts
	}
	return data
}

// tooLate looks at when a stored event came.
func (j *judge) tooLate(f Finding, e seen) {
	f.Sequence = e.sequence
	if f.request > 0 {
		if due := j.item.Requests[f.request-1].Due; !due.IsZero() && e.stored.After(due) {
			j.say(f, Late, "it came at %s, and was due by %s", stamp(e.stored), stamp(due))
			return
		}
	}
	if took := e.received.Sub(e.time); e.ownTime && j.Late > 0 && took > j.Late {
		j.say(f, Late, "it came %s after it happened", took.Round(time.Second))
	}
}

// orderOfEvents looks for events that were stored before an earlier one.
func (j *judge) orderOfEvents() {
	var all []seen
	for _, kind := range Kinds(j.item.Entity) {
		all = append(all, j.past.events[kind]...)
	}
	slices.SortFunc(all, func(a, b seen) int { return cmp.Compare(a.sequence, b.sequence) })
	var newest seen
	for _, e := range all {
		if !e.ownTime {
			continue
		}
		if e.time.Before(newest.time) {
			j.say(Finding{Kind: e.kind, OutBizNo: e.outBizNo, Sequence: e.sequence}, OutOfOrder,
				"it happened before the %s that was stored before it, at %d", newest.kind, newest.sequence)
			continue
		}
		newest = e
	}
}

var beijing = time.FixedZone("UTC+8", 8*60*60)

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
