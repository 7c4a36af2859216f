package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/events"
	"alipay-notify/internal/openapi"
	"alipay-notify/internal/reconcile"
	"alipay-notify/internal/stream"
)

// itemSource is where items come from.
type itemSource struct {
	name  string // what it is, in words that are the same when it is gone on with
	total int64  // the largest cursor; 0: not known
	items func(context.Context) iter.Seq2[reconcile.Item, error]
}

// source is the one that the flags ask for.
func (r *reconciling) source(args []string) (itemSource, error) {
	if r.fromAlipay || r.file != "" || len(args) > 0 {
		app, err := pickApp(r.cmd, r.cfg, r.app)
		if err != nil && r.file == "" { // a file can say it
			return itemSource{}, err
		}
		r.app = app
	}
	if r.app != "" { // what is wrong with it is wrong for every item
		if _, err := r.alipay.client(r.app); err != nil {
			return itemSource{}, err
		}
	}
	switch {
	case r.fromAlipay:
		return itemSource{name: "Alipay's list", items: r.listed}, nil
	case r.file != "":
		return r.fileSource()
	case len(args) > 0:
		return itemSource{name: "arguments " + strings.Join(args, " "), total: int64(len(args)), items: func(context.Context) iter.Seq2[reconcile.Item, error] {
			return r.named(args)
		}}, nil
	}
	return r.archiveSource()
}

func (r *reconciling) named(args []string) iter.Seq2[reconcile.Item, error] {
	entity := reconcile.Voucher
	if r.cards {
		entity = reconcile.Card
	}
	return func(yield func(reconcile.Item, error) bool) {
		for i, key := range args {
			if !yield(reconcile.Item{App: r.app, Entity: entity, Key: key, Cursor: uint64(i) + 1}, nil) {
				return
			}
		}
	}
}

// listed is every activity of the merchant.
func (r *reconciling) listed(ctx context.Context) iter.Seq2[reconcile.Item, error] {
	return func(yield func(reconcile.Item, error) bool) {
		c, err := r.alipay.client(r.app)
		if err != nil {
			yield(reconcile.Item{}, err)
			return
		}
		in := openapi.ActivityList{PageSize: listPage, MerchantAccessMode: r.mode, MerchantID: r.merchant, ActivityStatus: r.status}
		for a, err := range c.Activities(ctx, in, r.over()) {
			item := reconcile.Item{App: r.app, Entity: reconcile.Voucher, Key: a.ID(), Born: clock(a.CreateTime)}
			if !yield(item, err) {
				return
			}
		}
	}
}

// listPage is how many activities are asked for at once. Alipay documents no
// limit; 20 is what its samples show.
const listPage = 20

// archiveSource is every activity with an event of the archive.
func (r *reconciling) archiveSource() (itemSource, error) {
	s, err := flagValues{App: r.app, Since: r.since, Until: r.until}.selection(r.cmd)
	if err != nil {
		return itemSource{}, err
	}
	extent, err := r.client.ExtentOf(r.cmd.Context(), stream.Events)
	if err != nil {
		return itemSource{}, readingError(r.cmd.Context(), err)
	}
	source := itemSource{ // which begins later each day, and is the same as long as its sequences count on
		name: fmt.Sprintf("archive of %s, app %s, since %s, until %s", formatTime(extent.Created), r.app, r.since, r.until), total: int64(extent.Last), //nolint:gosec // a sequence
	}
	apps, err := r.askingApps()
	if err != nil {
		return itemSource{}, err
	}
	o := stream.ReadOptions{Stream: stream.Events, FromTime: s.Since, Light: true}
	for _, app := range apps {
		for _, kind := range reconcile.Kinds(reconcile.Voucher) {
			o.Subjects = append(o.Subjects, strings.Join([]string{events.SubjectRoot, app, kind, "*"}, "."))
		}
	}
	source.items = func(ctx context.Context) iter.Seq2[reconcile.Item, error] {
		return func(yield func(reconcile.Item, error) bool) {
			first := firstEvents{client: r.client, known: make(map[string]bool)}
			err := r.client.Read(ctx, o, func(m events.Stored) error {
				if !s.Until.IsZero() && !m.StoredAt.Before(s.Until) {
					return errEnough
				}
				is, err := first.is(ctx, m)
				if err != nil || !is || m.Key == "" {
					return err
				}
				if !yield(reconcile.Item{App: m.AppID, Entity: reconcile.Voucher, Key: m.Key, Cursor: m.Sequence}, nil) {
					return errEnough
				}
				return nil
			})
			if err != nil && !errors.Is(err, errEnough) {
				yield(reconcile.Item{}, readingError(ctx, err))
			}
		}
	}
	return source, nil
}

// askingApps are the apps whose events are compared: those that can ask, unless
// one is named.
func (r *reconciling) askingApps() ([]string, error) {
	if r.app != "" {
		return []string{r.app}, nil
	}
	var apps []string
	for _, a := range r.cfg.Apps {
		if a.PrivateKey != "" {
			apps = append(apps, a.AppID)
			continue
		}
		r.say("note: events of app %s are not compared: it has no private_key, and cannot ask", a.AppID)
	}
	if len(apps) == 0 {
		return nil, cli.Usagef("receiver config    # shows the apps", "%w", wire.ErrNoPrivateKey)
	}
	return apps, nil
}

// maxKnown bounds how many keys are remembered.
const maxKnown = 100_000

// firstEvents tells the first event of each activity in a reading from all later
// ones. It remembers so many activities, and looks the others up: memory does not
// grow with the archive.
type firstEvents struct {
	client *stream.Client
	known  map[string]bool
	full   bool
	begin  uint64 // the first sequence of the reading
}

func (f *firstEvents) is(ctx context.Context, m events.Stored) (bool, error) {
	if f.begin == 0 {
		f.begin = m.Sequence
	}
	name := m.AppID + " " + m.Key
	switch {
	case f.known[name]:
		return false, nil
	case !f.full:
		f.known[name] = true
		f.full = len(f.known) == maxKnown
		return true, nil
	}
	for _, kind := range reconcile.Kinds(reconcile.Voucher) {
		before := false
		err := f.client.Under(ctx, stream.Events, events.Subject(m.AppID, kind, m.Key), f.begin, func(o events.Stored) error {
			before = o.Key == m.Key && o.Sequence < m.Sequence
			if before || o.Sequence >= m.Sequence {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return false, err
		}
		if before {
			return false, nil
		}
	}
	return true, nil
}
