package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/reconcile"
)

// tally adds a reconciliation up.
type tally struct {
	items    int
	verdicts map[reconcile.Verdict]int
	missing  map[string]int // by type
	unproved map[string]int
}

func newTally() *tally {
	return &tally{verdicts: make(map[reconcile.Verdict]int), missing: make(map[string]int), unproved: make(map[string]int)}
}

func (t *tally) add(r reconcile.Report) {
	t.items++
	t.verdicts[r.Verdict]++
	for _, f := range r.Findings {
		if f.Verdict == reconcile.Missing {
			t.missing[f.Kind]++
		}
	}
	for _, kind := range r.Unproved {
		t.unproved[kind]++
	}
}

// alarming counts the items that need somebody's eye.
func (t *tally) alarming() int {
	n := 0
	for v, count := range t.verdicts {
		if v.Alarming() {
			n += count
		}
	}
	return n
}

// print sums up in a few lines.
func (t *tally) print(r *reconciling, took time.Duration) {
	var parts []string
	for _, v := range slices.Backward(reconcile.Verdicts()) {
		if n := t.verdicts[v]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", v, n))
		}
	}
	r.say("%d items in %s: %s", t.items, took.Round(time.Millisecond), orDash(strings.Join(parts, ", ")))
	if len(t.missing) > 0 {
		r.say("missing events: %s", counts(t.missing))
	}
	if len(t.unproved) > 0 {
		r.say("no request is known, so that a missing event could not be seen, of: %s", counts(t.unproved))
	}
}

func counts(m map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, m[name]))
	}
	return strings.Join(parts, ", ")
}

// outcome is how a whole reconciliation ends.
func (t *tally) outcome() error {
	switch bad, unasked := t.alarming(), t.verdicts[reconcile.NotAsked]; {
	case bad > 0:
		return cli.Failedf(t.try(), "%d of %d items are not in step", bad, t.items)
	case unasked > 0:
		return cli.Partlyf("", "%d of %d items could not be asked for", unasked, t.items)
	}
	return nil
}

func (t *tally) try() string {
	if t.verdicts[reconcile.Missing] > 0 {
		return "the same with --emit    # a dry run of publishing inferred events"
	}
	return ""
}

// metrics are the counts for node_exporter's textfile collector.
func (t *tally) metrics() string {
	var b strings.Builder
	head(&b, "alipay_notify_reconcile_items", "Items of the last reconciliation, by verdict.")
	for _, v := range reconcile.Verdicts() {
		fmt.Fprintf(&b, "alipay_notify_reconcile_items{verdict=%q} %d\n", v, t.verdicts[v])
	}
	head(&b, "alipay_notify_reconcile_missing_events", "Events that the last reconciliation found missing, by type.")
	for _, kind := range append(reconcile.Kinds(reconcile.Voucher), reconcile.Kinds(reconcile.Card)...) {
		fmt.Fprintf(&b, "alipay_notify_reconcile_missing_events{type=%q} %d\n", kind, t.missing[kind])
	}
	head(&b, "alipay_notify_reconcile_timestamp_seconds", "When it ended.")
	fmt.Fprintf(&b, "alipay_notify_reconcile_timestamp_seconds %d\n", time.Now().Unix())
	return b.String()
}

func head(b *strings.Builder, name, help string) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

// writeTextfile writes metrics so that nobody reads half of them.
func writeTextfile(path, text string) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return cli.Failedf("", "--textfile: %w", err)
	}
	_, err = file.WriteString(text)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Chmod(file.Name(), 0o644) //nolint:gosec // the collector is another user
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // it is of no use
		return cli.Failedf("", "--textfile: %w", err)
	}
	return nil
}
