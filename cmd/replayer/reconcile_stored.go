package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"alipay-notify/internal/audit"
	"alipay-notify/internal/events"
	"alipay-notify/internal/openapi"
	"alipay-notify/internal/reconcile"
	"alipay-notify/internal/stream"
)

// storedEvents is reconcile's Archive and Publisher.
type storedEvents struct{ client *stream.Client }

// Events are those of the archive.
func (s storedEvents) Events(ctx context.Context, app, kind, key string, fn func(events.Stored) error) error {
	return s.client.Under(ctx, stream.Events, events.Subject(app, kind, key), 0, fn)
}

// Inferred are those that were concluded before.
func (s storedEvents) Inferred(ctx context.Context, app, kind, key string, fn func(events.Stored) error) error {
	return s.client.Under(ctx, stream.Inferred, events.InferredSubject(app, kind, key), 0, fn)
}

// PublishInferred stores a conclusion.
func (s storedEvents) PublishInferred(ctx context.Context, i events.Inferred) (events.Receipt, error) {
	return s.client.PublishInferred(ctx, i)
}

// ledger is reconcile's Ledger on ALIPAY_EXPECT.
type ledger struct {
	client *stream.Client
	app    string // only those of this app; empty: all
}

// Open gives all records.
func (l ledger) Open(ctx context.Context) ([]reconcile.Expected, error) {
	var all []reconcile.Expected
	err := l.client.AllExpected(ctx, func(x stream.Expected) error {
		if l.app == "" || strings.HasPrefix(x.Name, l.app+".") {
			all = append(all, reconcile.Expected{Name: x.Name, Value: x.Value, Revision: x.Revision})
		}
		return nil
	})
	return all, err
}

// Close removes a record; one that was written anew meanwhile stays.
func (l ledger) Close(ctx context.Context, x reconcile.Expected) error {
	if err := l.client.CloseExpected(ctx, x.Name, x.Revision); !errors.Is(err, stream.ErrStale) {
		return err
	}
	return nil
}

// expectedRequests knows the requests whose event is expected.
type expectedRequests struct{ client *stream.Client }

// Requests gives those about an item.
func (b expectedRequests) Requests(ctx context.Context, item reconcile.Item) ([]reconcile.Request, error) {
	records, err := b.client.ExpectedUnder(ctx, reconcile.ExpectationsOf(item))
	var all []reconcile.Request
	for _, r := range records {
		if x, wrong := reconcile.ParseExpectation(r.Value); wrong == nil && x.Key == item.Key && x.AppID == item.App {
			all = append(all, x.Request())
		}
	}
	return all, err
}

// calls knows the requests that replayer call has recorded on ALIPAY_AUDIT. What
// it holds grows with these, which people made, and not with the items.
type calls map[string][]reconcile.Request

func (c calls) name(app, key string) string { return app + " " + key }

// Requests gives those about an item.
func (c calls) Requests(_ context.Context, item reconcile.Item) ([]reconcile.Request, error) {
	return c[c.name(item.App, item.Key)], nil
}

// readCalls reads the trail of calls that an event confirms.
func readCalls(ctx context.Context, client *stream.Client, app string) (calls, error) {
	token := "*"
	if app != "" {
		token = events.Token(app)
	}
	var trail audit.Trail
	err := client.Read(ctx, stream.ReadOptions{
		Stream: stream.Audit, Subjects: []string{"alipay.audit." + token + "." + callVerb + ".*"},
	}, func(m events.Stored) error {
		_ = trail.Add(m.Sequence, m.Data) // what is no record knows no request
		return nil
	})
	c := calls{}
	for _, p := range trail.Passes() {
		parameters := p.Plan.Parameters
		key, causes := parameters[paramKey], parameters[paramCauses]
		if p.Verb != callVerb || key == "" || causes == "" || nothingHappened(p) {
			continue
		}
		r := reconcile.Request{
			Kind: causes, OutBizNo: parameters[paramNumber], Source: "the audit trail", Doubtful: p.Status() != audit.StatusDone,
		}
		r.At, _ = time.Parse(time.RFC3339, p.Began) // without it, it is not known
		if values := []byte(parameters[paramRequested]); json.Valid(values) {
			r.Values = values // cut, it would be of no use
		}
		c[c.name(p.App, key)] = append(c[c.name(p.App, key)], r)
	}
	return c, err
}

// nothingHappened tells whether a call has certainly not been done.
func nothingHappened(p audit.Pass) bool {
	if p.Result == nil {
		return false
	}
	kind, _, _ := strings.Cut(p.Result.Error, " ")
	return slices.Contains([]openapi.Kind{openapi.Refused, openapi.Throttled, openapi.Invalid, openapi.Unavailable}, openapi.Kind(kind))
}
