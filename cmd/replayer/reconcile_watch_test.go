package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"alipay-notify/internal/reconcile"
	"alipay-notify/internal/stream"
)

// The daemon reports what becomes overdue, once, closes what comes, and ends
// when it is told to.
func TestExpectationsWatched(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	ids, err := s.p.AddActivities("", 3, "ACTIVE")
	if err != nil {
		t.Fatal(err)
	}
	s.quiet(t, 3)
	path := s.dir + "/expect.prom"
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stdout, out := lines()
	stderr, errs := lines()
	code := make(chan int, 1)
	go func() {
		args := []string{"reconcile", "--expectations", "--watch", "--every", "20ms", "-o", "ndjson", "--config", s.config, "--textfile", path,
			"--emit", "--execute", "--reason", "the watch"}
		code <- run(ctx, append(args, fast...), out, errs, nil)
		_, _ = out.Close(), errs.Close() // a pipe's never fails
	}()
	// A look that falls into Alipay's own work on the first one says so, in a row
	// more: the reason is another.
	between := func(line string) bool {
		return strings.Contains(line, ids[0]) && strings.Contains(line, `"cannot_tell"`)
	}
	next := func() (row struct{ Key, Standing, Verdict string }) {
		t.Helper()
		for {
			select {
			case line := <-stdout:
				if between(line) {
					continue
				}
				if err := json.Unmarshal([]byte(line), &row); err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				return row
			case <-time.After(patience):
				t.Fatal("nothing is reported")
			}
		}
	}
	// Not done, told once; then done and its notification comes: closed.
	s.expect(t, reconcile.Expectation{Type: reconcile.Stopped, Key: ids[0], OutBizNo: "s0"})
	if row := next(); row.Key != ids[0] || row.Standing != "overdue" || row.Verdict != "state_unexplained" {
		t.Errorf("%+v", row)
	}
	s.call(t, vouchers+"stop", change(ids[0], nil), "--out-biz-no", "s0", "--no-expectation")
	eventually(t, "the expectation is closed", func() bool { return len(s.expected(t)) == 0 })
	// Done, and its notification is lost: told, made up for, and closed.
	if err := s.p.SetActivity("", ids[1], "FINISHED"); err != nil {
		t.Fatal(err)
	}
	s.expect(t, reconcile.Expectation{Type: reconcile.Stopped, Key: ids[1], OutBizNo: "s1"})
	if row := next(); row.Key != ids[1] || row.Standing != "overdue" || row.Verdict != "missing" {
		t.Errorf("%+v", row)
	}
	if row := next(); row.Key != ids[1] || row.Standing != "concluded" {
		t.Errorf("%+v", row)
	}
	eventually(t, "it is closed, and counted", func() bool {
		text, err := os.ReadFile(path)
		return len(s.expected(t)) == 0 && err == nil && strings.Contains(string(text), `alipay_notify_expectations{standing="overdue"} 0`)
	})
	stop()
	select {
	case c := <-code:
		if c != 0 {
			t.Errorf("exit %d", c)
		}
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	for line := range stdout {
		t.Errorf("reported again: %s", line)
	}
	for range stderr { // what it said besides is not looked at
	}
	if n := s.stores(t, stream.Inferred); n != 1 {
		t.Errorf("%d inferred events", n)
	}
}

// An expectation that nobody takes away would have been asked about every 30 s for
// a month: 86,400 requests out of the app's quota, for one record.
func TestWatchAsksLessAndLess(t *testing.T) {
	t.Parallel()
	p, times := make(restraint), 0
	for over := 30 * time.Second; over < 30*24*time.Hour; over += 30 * time.Second {
		x := reconcile.Expected{Name: "x", Revision: 1}
		if !p.worth(x, over) {
			continue
		}
		p["x"] = answered{1, over}
		times++
		if over < 5*time.Minute && times != int(over/(30*time.Second)) {
			t.Fatalf("%v overdue: asked %d times", over, times)
		}
	}
	if times < 50 || times > 150 {
		t.Errorf("asked %d times in a month", times)
	}
	if !p.worth(reconcile.Expected{Name: "x", Revision: 2}, time.Minute) || !p.worth(reconcile.Expected{Name: "y", Revision: 1}, time.Minute) {
		t.Error("what is new is not asked about")
	}
}

// The watch counts what it has not asked about again as overdue, and does not
// report it again.
func TestExpectationsWatchedForLong(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	ids, err := s.p.AddActivities("", 1, "INIT")
	if err != nil {
		t.Fatal(err)
	}
	s.expect(t, reconcile.Expectation{Type: reconcile.Created, Key: ids[0], OutBizNo: "c", Due: time.Now().Add(-time.Hour)})
	path := s.dir + "/expect.prom"
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stdout, out := lines()
	stderr, errs := lines()
	code := make(chan int, 1)
	go func() {
		args := []string{"reconcile", "--expectations", "--watch", "--every", "5ms", "-o", "ndjson", "--config", s.config, "--textfile", path}
		code <- run(ctx, append(args, fast...), out, errs, nil)
		_, _ = out.Close(), errs.Close() // a pipe's never fails
	}()
	var written time.Time
	for passes := 0; passes < 20; {
		eventually(t, "another pass ends", func() bool {
			info, err := os.Stat(path)
			if err != nil || info.ModTime().Equal(written) {
				return false
			}
			written = info.ModTime()
			return true
		})
		passes++
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), `alipay_notify_expectations{standing="overdue"} 1`) {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	// A pass that fails leaves the metrics as they are: it used to write zeros, which
	// called the alert off.
	if err := s.js.DeleteKeyValue(t.Context(), stream.ExpectBucket); err != nil {
		t.Fatal(err)
	}
	for failed := false; !failed; {
		failed = strings.Contains(<-stderr, "open ALIPAY_EXPECT")
	}
	stop()
	if c := <-code; c != 0 {
		t.Errorf("exit %d", c)
	}
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), `alipay_notify_expectations{standing="overdue"} 1`) {
		t.Errorf("%v\n%s", err, text)
	}
	rows := 0
	for range stdout {
		rows++
	}
	for range stderr { // what it said besides is not looked at
	}
	if n := s.asked(); rows != 1 || n != 2 { // what contradicts itself is looked at twice
		t.Errorf("%d rows, %d requests", rows, n)
	}
}

// A list that the connection cuts short is no list: the rest used to count as
// nothing, so that metrics called the alert off.
func TestExpectationsCutShort(t *testing.T) {
	t.Parallel()
	s := newShop(t, nil)
	const all = 2000
	for i := range all {
		if _, err := s.js.PublishAsync("$KV."+stream.ExpectBucket+fmt.Sprint(".x.", i), []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	<-s.js.PublishAsyncComplete()
	c, err := stream.Connect(stream.ConnectOptions{URL: s.server.URL(), Token: s.server.Token(), Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	n := 0
	err = c.AllExpected(t.Context(), func(stream.Expected) error {
		if n++; n == 1 {
			c.Close()
		}
		return nil
	})
	if err == nil || n == all {
		t.Errorf("%d of %d records, error %v", n, all, err)
	}
}
