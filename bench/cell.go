//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// cell is one contender under one load, once.
type cell struct {
	Contender string  `json:"contender"`
	Round     int     `json:"round"`
	Conns     int     `json:"connections"`
	Offered   float64 `json:"offered_per_s,omitempty"` // of an open loop

	Rate    float64            `json:"accepted_per_s"`
	CPU     map[string]float64 `json:"cpu_us"` // per accepted notification, by process and in "all"
	Load    phaseResult        `json:"load"`   // of the measured phase
	UsedUp  bool               `json:"bodies_used_up"`
	Rest    map[string]usage   `json:"rest"` // before the first request
	End     map[string]usage   `json:"end"`  // when the measured phase ended
	Calm    map[string]usage   `json:"calm"` // when everything ended
	Recover float64            `json:"recovery_ms,omitempty"`
	Check   check              `json:"check"`
}

// check compares what was answered with what is stored.
type check struct {
	Done    bool `json:"done"`
	Success int  `json:"success"` // answers
	Stored  int  `json:"stored"`  // messages in the stream
	Lost    int  `json:"lost"`    // answered success and not in the stream: never
	Twice   int  `json:"twice"`   // in the stream more than once: never
	Refused int  `json:"stored_though_refused"`
	Unknown int  `json:"stored_unanswered"` // we hung up first
}

// wrong says what may not be.
func (c check) wrong() error {
	if c.Lost == 0 && c.Twice == 0 {
		return nil
	}
	return fmt.Errorf("%d acknowledged notifications are not in the stream, %d are there twice", c.Lost, c.Twice)
}

// measured is the phase that counts: the second, both in a closed loop (after
// the warm-up) and in an open one (after half the capacity).
const measured = 1

// warmth is how much memory is touched before each cell, more than a cell takes, but
// at the most half of what is available.
const warmth = 1 << 30

// warmMemory touches memory and gives it back. A virtual machine pays its host some
// 8 us for each page that it touches for the first time, or after it has been given
// back; whoever came first, or took more than those before him, paid that for the
// others: a fifth of the throughput of the first cell at twice the capacity.
func warmMemory() error {
	available, err := memAvailable()
	if err != nil {
		return err
	}
	size := min(warmth, available/2)
	pages, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return fmt.Errorf("touch %d MiB: %w", size>>20, err)
	}
	for i := 0; i < len(pages); i += os.Getpagesize() {
		pages[i] = 1
	}
	return syscall.Munmap(pages)
}

// fill measures a cell: fresh servers, a load, and a look at the stream.
func (b *bench) fill(ctx context.Context, c cell, phases []phase) (cell, error) {
	if err := warmMemory(); err != nil {
		return c, err
	}
	a, err := b.tools.open(ctx, c.Contender, b.keyFile, b.options)
	defer a.close()
	if err != nil {
		return c, err
	}
	if c.Rest, err = a.usages(); err != nil {
		return c, err
	}
	outcomes := filepath.Join(a.dir, "outcomes")
	result, marks, err := b.load(ctx, a, c.Conns, phases, outcomes)
	if err != nil {
		return c, err
	}
	c.Load, c.UsedUp, c.Recover = result.Phases[measured], result.UsedUp, result.Recovery
	before, after := marks[measured], marks[measured+1]
	c.End, c.Calm = after, marks[len(marks)-1]
	if c.Load.Seconds > 0 {
		c.Rate = float64(c.Load.Accepted) / c.Load.Seconds
	}
	c.CPU = map[string]float64{}
	for name := range after {
		each := (after[name].CPU - before[name].CPU).Seconds() * 1e6 / float64(max(c.Load.Accepted, 1))
		c.CPU[name] = each
		c.CPU["all"] += each
	}
	if c.Contender != "d" {
		c.Check, err = a.check(ctx, outcomes)
	}
	return c, err
}

// load runs the generator, and looks at the contender's processes at each mark.
func (b *bench) load(ctx context.Context, a *arena, conns int, phases []phase, outcomes string) (loadResult, []map[string]usage, error) {
	plan, err := json.Marshal(phases)
	if err != nil {
		return loadResult{}, nil, err
	}
	cmd := exec.CommandContext(ctx, b.tools.self, "load", "-address", a.address, "-conns", strconv.Itoa(conns), "-timeout", b.timeout.String(),
		"-bodies", b.bodyFile, "-outcomes", outcomes, "-phases", string(plan))
	cmd.SysProcAttr, cmd.Stderr = childAttributes(), os.Stderr
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Kill() }, time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return loadResult{}, nil, err
	}
	if err := cmd.Start(); err != nil {
		return loadResult{}, nil, err
	}
	var marks []map[string]usage
	var result *loadResult
	lines := bufio.NewScanner(out)
	for lines.Scan() && err == nil {
		var line struct {
			Mark   bool
			Result *loadResult
		}
		err = json.Unmarshal(lines.Bytes(), &line)
		if line.Mark && err == nil {
			var u map[string]usage
			u, err = a.usages()
			marks = append(marks, u)
		}
		result = line.Result
	}
	if err != nil {
		cmd.Process.Kill() //nolint:errcheck // it has ended already
	}
	if err := errors.Join(err, lines.Err(), cmd.Wait()); err != nil || ctx.Err() != nil {
		return loadResult{}, nil, errors.Join(ctx.Err(), err)
	}
	if result == nil || len(marks) != len(phases)+1 {
		return loadResult{}, nil, errors.New("the generator did not say everything")
	}
	return *result, marks, nil
}

// check compares the answers with the stream.
func (a *arena) check(ctx context.Context, outcomes string) (check, error) {
	text, err := os.ReadFile(outcomes)
	if err != nil {
		return check{}, err
	}
	count, err := a.stored(ctx)
	if err != nil {
		return check{}, err
	}
	c := tally(string(text), count)
	return c, c.wrong()
}

// tally compares the outcomes of the generator, a character for each body, with
// how often each is stored.
func tally(outcomes string, count map[int]int) check {
	c := check{Done: true}
	for i, outcome := range outcomes {
		n := count[i]
		c.Stored += n
		c.Twice += max(n-1, 0)
		switch {
		case outcome == 's':
			c.Success++
			c.Lost += max(1-n, 0)
		case outcome == 'f':
			c.Refused += n
		default:
			c.Unknown += n
		}
	}
	return c
}
