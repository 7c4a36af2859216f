package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/events"
)

// Archive is the stream of events.
type Archive interface {
	// Read hands the messages of the subjects, from a sequence or else from a time
	// on, to fn in their order, each once, and ends at the one that was the last
	// when it began. An error of fn ends it and is returned as it is. Of a message
	// it reads what Selection.Match looks at, and its headers; fn may keep both.
	Read(ctx context.Context, subjects []string, from uint64, since time.Time, fn func(events.Stored) error) error
	// Extent says which stream it is, and what it holds.
	Extent(ctx context.Context) (Extent, error)
}

// Extent is a stream's life, as its time of creation, and the sequences that it
// holds.
type Extent struct {
	Created     time.Time
	First, Last uint64
}

// errEnough ends a reading: nothing that comes later can be selected.
var errEnough = errors.New("nothing later is selected")

// readSelected hands the selected messages to fn in their order.
func readSelected(ctx context.Context, archive Archive, s Selection, fn func(events.Stored) error) error {
	pick := s.Picker()
	err := archive.Read(ctx, s.Filters(events.SubjectRoot), s.FirstSeq, s.Since, func(m events.Stored) error {
		selected, more := pick.Pick(m)
		if selected {
			if err := fn(m); err != nil {
				return err
			}
		}
		if !more {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// Share is a part of a plan.
type Share struct {
	Items int
	Bytes int64
}

// Plan is what a replay would do.
type Plan struct {
	Target    Target
	Selection Selection // frozen: no later message than the last one planned belongs to it
	Life      time.Time // of the archive whose sequences these are
	Share               // of all; bytes as the archive keeps them
	First     uint64    // sequences; 0 without any
	Last      uint64
	FirstAt   time.Time // when these were stored
	LastAt    time.Time
	Types     map[string]Share // by entity.action
	Longest   int              // the longest subject, in bytes
	App       string           // the app_id, while it is one
	Reading   time.Duration    // how long it took to look at all this
}

// maxTypes bounds the types that a plan tells apart: everything unknown has a
// type of its own, and a plan does not grow with the selection.
const maxTypes = 200

// moreTypes counts what has no place of its own in Plan.Types.
const moreTypes = "(more)"

// storedExtra is what the file store adds to each message.
const storedExtra = 34

// BuildPlan looks at everything selected. Its range is frozen: what is stored
// later, by the replay itself above all, belongs to no plan that was made before.
func BuildPlan(ctx context.Context, archive Archive, s Selection, to Target) (*Plan, error) {
	began := time.Now()
	extent, err := archive.Extent(ctx)
	if err != nil {
		return nil, err
	}
	p := &Plan{Target: to, Life: extent.Created, Types: make(map[string]Share)}
	if err := readSelected(ctx, archive, s, func(m events.Stored) error {
		p.add(m)
		return nil
	}); err != nil {
		return nil, err
	}
	// The limit has done its work: what comes up to the last message of the plan
	// is the selection, however much of it has been sent already.
	p.Selection = s
	p.Selection.FirstSeq, p.Selection.LastSeq, p.Selection.Limit = p.First, p.Last, 0
	p.Reading = time.Since(began)
	return p, nil
}

func (p *Plan) add(m events.Stored) {
	size := int64(storedExtra + len(m.Subject) + headerSize(m.Header) + len(m.Data))
	if p.Items == 0 {
		p.First, p.FirstAt, p.App = m.Sequence, m.StoredAt, m.AppID
	}
	if p.App != m.AppID {
		p.App = ""
	}
	p.Last, p.LastAt = m.Sequence, m.StoredAt
	p.Longest = max(p.Longest, len(m.Subject))
	p.Items++
	p.Bytes += size
	kind := cmp.Or(m.Kind, "-")
	if _, known := p.Types[kind]; !known && len(p.Types) >= maxTypes {
		kind = moreTypes
	}
	share := p.Types[kind]
	p.Types[kind] = Share{share.Items + 1, share.Bytes + size}
}

// headerSize is how many bytes headers take in a stored message.
func headerSize(header map[string][]string) int {
	size := len("NATS/1.0\r\n\r\n")
	for name, values := range header {
		for _, v := range values {
			size += len(name) + len(v) + len(": \r\n")
		}
	}
	return size
}

// Names gives the types, those of the most items first.
func (p *Plan) Names() []string {
	return slices.SortedFunc(maps.Keys(p.Types), func(a, b string) int {
		return cmp.Or(cmp.Compare(p.Types[b].Items, p.Types[a].Items), cmp.Compare(a, b))
	})
}

// Counts writes the types with their items: "voucher.created 12, order.refunded 1".
func (p *Plan) Counts() string {
	counts := make(map[string]int, len(p.Types))
	for name, share := range p.Types {
		counts[name] = share.Items
	}
	return Counts(counts)
}

// Audit is the plan as the guard takes it. parameters are the flags that chose.
func (p *Plan) Audit(parameters map[string]string) audit.Plan {
	return audit.Plan{
		Verb: Verb, App: p.App, Items: p.Items, Bytes: p.Bytes, First: p.First, Last: p.Last,
		Target: p.Target.String(), Parameters: maps.Clone(parameters),
	}
}

// Verb is what the trail calls a replay.
const Verb = "replay"

// Estimate is about how long the replay takes: at a rate, which is events a
// second and 0 for none, else by how long the planning took.
func (p *Plan) Estimate(rate int) time.Duration {
	// To send a message again is to read it, and to have it stored: about three
	// times the work of looking at it.
	e := 3 * p.Reading
	if rate > 0 {
		e = max(e, time.Duration(float64(p.Items)/float64(rate)*float64(time.Second)))
	}
	return e
}

// MaxFill is how full a stream may become by a replay, in percent.
const MaxFill = 80

// ErrTooFull means that a replay would leave too little room for what Alipay
// has still to say.
var ErrTooFull = errors.New("the target stream would be too full")

// CheckRoom says whether the replay fits into a stream that holds used of limit
// bytes; a limit of 0 or less is none. mark is what each message grows by.
func (p *Plan) CheckRoom(stream string, used uint64, limit int64, mark int) error {
	if limit <= 0 || p.Items == 0 {
		return nil
	}
	after := float64(used) + float64(p.Bytes) + float64(p.Items)*float64(mark)
	if percent := 100 * after / float64(limit); percent > MaxFill {
		return fmt.Errorf("%w: %s is %.0f %% full and would be %.0f %%, at most %d %%",
			ErrTooFull, stream, 100*float64(used)/float64(limit), percent, MaxFill)
	}
	return nil
}
