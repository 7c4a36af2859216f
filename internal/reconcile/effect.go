package reconcile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// effect is what the state says of a request that changes an activity.
type effect string

const (
	done    effect = "done"
	notDone effect = "not_done"
	open    effect = "open" // nobody can tell
)

// changes judges voucher.modified or voucher.appended. An activity can have many
// of either, so that only those are judged whose request is known.
func (j *judge) changes(kind string) {
	known := false
	for i, r := range j.item.Requests {
		if r.Kind != kind {
			continue
		}
		known = true
		j.change(Finding{Kind: kind, OutBizNo: r.OutBizNo, request: i + 1}, r)
	}
	for _, e := range j.past.events[kind] {
		if !j.taken[e.sequence] {
			j.tooLate(Finding{Kind: kind, OutBizNo: e.outBizNo}, e)
		}
	}
	if !known && j.live() {
		j.out.Unproved = append(j.out.Unproved, kind)
	}
}

func (j *judge) change(f Finding, r Request) {
	confirmed, sure := j.confirms(r)
	if confirmed != nil {
		j.taken[confirmed.sequence] = true
		j.tooLate(f, *confirmed)
		f.Sequence = confirmed.sequence
		j.say(f, InStep, "")
		return
	}
	what, proof, why := j.effectOf(r)
	switch {
	case !sure:
		j.say(f, CannotTell, "%d events of this kind are stored, and the request has no out_biz_no to find its own", len(j.past.events[r.Kind]))
	case what == done:
		j.proved(f, proof, why)
	case j.state.Operation != "":
		j.say(f, CannotTell, "Alipay is at work on it: %s", j.state.Operation)
	case what == notDone && !r.Doubtful:
		j.say(f, Unexplained, "it was asked for, and %s", why)
	default:
		j.say(f, CannotTell, "%s", why)
	}
}

// confirms finds the event of a request. sure is false where there are events,
// and nobody can say whether one is the request's.
func (j *judge) confirms(r Request) (event *seen, sure bool) {
	list := j.past.events[r.Kind]
	if r.OutBizNo != "" {
		if i := slices.IndexFunc(list, func(e seen) bool { return e.outBizNo == r.OutBizNo }); i >= 0 {
			return &list[i], true
		}
		// Whether the messages always carry the number is not known.
		return nil, !slices.ContainsFunc(list, func(e seen) bool { return e.outBizNo == "" })
	}
	return nil, len(list) == 0
}

// effectOf compares the state with what was asked for. proof names, in words that
// stay the same, what shows that it was done.
func (j *judge) effectOf(r Request) (what effect, proof, why string) {
	if !j.live() {
		return notDone, "", "activity_status is " + j.status() + ": not done"
	}
	if len(r.Values) == 0 {
		return open, "", "what was asked for is not known"
	}
	if r.Kind == Appended {
		return j.appended(r)
	}
	return j.modified(r)
}

func (j *judge) appended(r Request) (what effect, proof, why string) {
	var asked struct {
		Total json.Number `json:"voucher_quantity"`
	}
	dec := json.NewDecoder(bytes.NewReader(r.Values))
	dec.UseNumber()
	_ = dec.Decode(&asked) // a number in quotes is one, too
	total, err := strconv.ParseInt(asked.Total.String(), 10, 64)
	switch {
	case err != nil || total <= 0:
		return open, "", "the voucher_quantity that was asked for is not known"
	case j.state.Total <= 0:
		return open, "", "Alipay does not tell the total"
	case j.state.Total == total:
		return done, strconv.FormatInt(total, 10), fmt.Sprintf("the total is %d, as it was asked for", total)
	case j.state.Total > total:
		return open, "", fmt.Sprintf("the total is %d by now, %d was asked for: more was appended since", j.state.Total, total)
	}
	return notDone, "", fmt.Sprintf("the total is %d, %d was asked for: not done", j.state.Total, total)
}

func (j *judge) modified(r Request) (what effect, proof, why string) {
	c := comparison{}
	c.compare("", decode(r.Values), decode(j.state.Data))
	switch {
	case len(c.untold) > 0:
		return open, "", "Alipay does not tell " + names(c.untold)
	case len(c.differ) > 0:
		return open, "", names(c.differ) + " is not what was asked for: not done, or changed since"
	case len(c.same) == 0:
		return open, "", "the request has no value that could be compared"
	}
	slices.Sort(c.same)
	sum := sha256.Sum256([]byte(strings.Join(c.same, "\n")))
	return done, hex.EncodeToString(sum[:8]), fmt.Sprintf("%d values are as they were asked for", len(c.same))
}

// names lists a few.
func names(all []string) string {
	slices.Sort(all)
	if len(all) > 3 {
		all = append(all[:3:3], fmt.Sprintf("and %d more", len(all)-3))
	}
	return strings.Join(all, ", ")
}

// ids are members of a request that say what it is about, and change nothing.
var ids = map[string]bool{"activity_id": true, "out_biz_no": true, "merchant_access_mode": true, "activity_base_info.activity_id": true}

// comparison sorts the values of a request by what the state says of them.
type comparison struct {
	same           []string // with their values
	differ, untold []string // names alone
}

func (c *comparison) compare(path string, want, got any) {
	w, isObject := want.(map[string]any)
	if !isObject {
		switch {
		case got == nil:
			c.untold = append(c.untold, path)
		case canonical(want) == canonical(got):
			c.same = append(c.same, path+"="+canonical(want))
		default:
			c.differ = append(c.differ, path)
		}
		return
	}
	g, _ := got.(map[string]any)
	for name, value := range w {
		inner := name
		if path != "" {
			inner = path + "." + name
		}
		if !ids[inner] && value != nil {
			c.compare(inner, value, g[name])
		}
	}
}

func decode(data []byte) any {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	_ = dec.Decode(&v) // what is no JSON is nothing
	return v
}

// canonical writes a value so that equal ones read the same: a number and its
// text are equal, and so are lists in another order, since ranges have none.
func canonical(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var parts []string
		for name, value := range v {
			parts = append(parts, strconv.Quote(name)+":"+canonical(value))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ",") + "}"
	case []any:
		var parts []string
		for _, value := range v {
			parts = append(parts, canonical(value))
		}
		slices.Sort(parts)
		return "[" + strings.Join(parts, ",") + "]"
	case json.Number:
		return number(v.String())
	case string:
		return number(v)
	case bool:
		return strconv.Quote(strconv.FormatBool(v))
	}
	return "null"
}

// number writes what is a number in one way, and any other text in quotes. What
// begins with zeros is an id.
func number(s string) string {
	id := len(s) > 1 && s[0] == '0' && s[1] != '.'
	if !id && len(s) <= 32 && strings.Trim(s, "-.0123456789") == "" {
		if r, ok := new(big.Rat).SetString(s); ok {
			return r.RatString()
		}
	}
	return strconv.Quote(s)
}
