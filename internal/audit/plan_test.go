package audit_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/audit"
)

func TestPlanDigest(t *testing.T) {
	t.Parallel()
	base := plan(3)
	// Pinned, and computed outside of Go: a digest in a record of last year must
	// still mean this plan.
	const want = "332d9507bb1e29dd829ca182d3dd342b2ed45912ce264f2245585bd23a87e4dd"
	if got := base.Digest(); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	changes := map[string]func(*audit.Plan){
		"Verb":       func(p *audit.Plan) { p.Verb += "x" },
		"App":        func(p *audit.Plan) { p.App = "" },
		"Items":      func(p *audit.Plan) { p.Items++ },
		"Bytes":      func(p *audit.Plan) { p.Bytes++ },
		"First":      func(p *audit.Plan) { p.First++ },
		"Last":       func(p *audit.Plan) { p.Last++ },
		"Target":     func(p *audit.Plan) { p.Target += ">" },
		"Parameters": func(p *audit.Plan) { p.Parameters = nil },
		"a parameter's value": func(p *audit.Plan) {
			p.Parameters = map[string]string{"since": "3h", "type": "voucher.created"}
		},
		"a parameter's name": func(p *audit.Plan) {
			p.Parameters = map[string]string{"until": "2h", "type": "voucher.created"}
		},
		"one parameter more": func(p *audit.Plan) {
			p.Parameters = map[string]string{"since": "2h", "type": "voucher.created", "key": ""}
		},
		"values exchanged": func(p *audit.Plan) {
			p.Parameters = map[string]string{"since": "voucher.created", "type": "2h"}
		},
		"verb and app run together": func(p *audit.Plan) { p.Verb, p.App = p.Verb+p.App, "" },
		"first and last exchanged":  func(p *audit.Plan) { p.First, p.Last = p.Last, p.First },
	}
	for field := range reflect.TypeFor[audit.Plan]().Fields() {
		if changes[field.Name] == nil {
			t.Errorf("field %s has no case", field.Name)
		}
	}
	seen := map[string]string{want: "the plan itself"}
	for name, change := range changes {
		p := base
		change(&p)
		if other, ok := seen[p.Digest()]; ok {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[p.Digest()] = name
	}
	none, empty := base, base
	none.Parameters, empty.Parameters = nil, map[string]string{}
	if none.Digest() != empty.Digest() {
		t.Error("nil and empty parameters differ")
	}
}

func TestPlanString(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		plan audit.Plan
		want string
	}{
		"whole": {
			audit.Plan{Verb: "replay", App: "2021", Items: 1204567, Bytes: 3565158, First: 17, Last: 90210, Target: "alipay.replays.x.>"},
			"replay: 1,204,567 items (3.4 MiB), sequences 17 to 90210, app 2021, to alipay.replays.x.>",
		},
		"one":      {audit.Plan{Verb: "call", Items: 1, Target: "op"}, "call: 1 item (0 B), to op"},
		"one seq":  {audit.Plan{Verb: "replay", Items: 1, Bytes: 1023, First: 4, Last: 4, Target: "t"}, "replay: 1 item (1023 B), sequence 4, to t"},
		"none":     {audit.Plan{Verb: "replay", Target: "t"}, "replay: 0 items (0 B), to t"},
		"999":      {audit.Plan{Verb: "v", Items: 999, Bytes: 1024, Target: "t"}, "v: 999 items (1.0 KiB), to t"},
		"1000":     {audit.Plan{Verb: "v", Items: 1000, Bytes: 1<<20 - 1, Target: "t"}, "v: 1,000 items (1.0 MiB), to t"},
		"huge":     {audit.Plan{Verb: "v", Items: 2, Bytes: 1<<63 - 1, Target: "t"}, "v: 2 items (8.0 EiB), to t"},
		"terminal": {audit.Plan{Verb: "v", Items: 2, App: "\x1b[2J", Target: "t\r\nx\u202e"}, "v: 2 items (0 B), app [2J, to t  x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tt.plan.String(); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// Whatever names arrive, the subject has five tokens and no wildcard: the trail
// fake checks it on each record.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ app, verb, want string }{
		"several apps":  {"", "streams apply", "alipay.audit._.streams_apply.id-1"},
		"flag in verb":  {"2021", "reconcile --emit", "alipay.audit.2021.reconcile_--emit.id-1"},
		"wildcards":     {">", "*", "alipay.audit._._.id-1"},
		"dots":          {"a.b", "..", "alipay.audit.a_b.__.id-1"},
		"spaces, lines": {"a b\r\n", "x\ty", "alipay.audit.a_b__.x_y.id-1"},
		"many bytes":    {"é", "重放", "alipay.audit.__.______.id-1"},
		"bad UTF-8":     {"\xff", "\xc3(", "alipay.audit._.__.id-1"},
		"long":          {strings.Repeat("a", 200), strings.Repeat(".", 129), "alipay.audit." + strings.Repeat("a", 128) + "." + strings.Repeat("_", 128) + ".id-1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			records, calls := newTrail(t), 0
			p := plan(1)
			p.App, p.Verb, p.Target = tt.app, tt.verb, strings.Repeat("t\xff\x00", 400)+"t"
			if _, err := audit.New(records, options()).Run(t.Context(), p, yes(), does(&calls, audit.Outcome{Done: 1}, nil)); err != nil {
				t.Fatal(err)
			}
			for _, e := range records.stored() {
				if e.subject != tt.want {
					t.Errorf("subject %q, want %q", e.subject, tt.want)
				}
			}
		})
	}
}

func TestOperatorAndJobID(t *testing.T) {
	t.Parallel()
	if who := audit.Operator(); who.Name == "" || who.Host == "" || who.String() != who.Name+"@"+who.Host {
		t.Errorf("operator %+v", who)
	}
	form := regexp.MustCompile(`^[0-9]{8}t[0-9]{6}-[a-z2-7]{16}$`)
	now := time.Date(2026, 12, 31, 23, 59, 59, 0, time.FixedZone("CST", 8*3600))
	a, b, later := audit.NewJobID(now), audit.NewJobID(now), audit.NewJobID(now.Add(time.Second))
	if !form.MatchString(a) || a == b || later <= a || later <= b {
		t.Errorf("ids %q, %q, %q", a, b, later)
	}
	if !strings.HasPrefix(a, "20261231t155959-") {
		t.Errorf("id %q is not in UTC", a)
	}
}
