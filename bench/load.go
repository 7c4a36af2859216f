//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// shot is one body that was posted. Every one is kept, so that percentiles are
// exact: a run has some hundred thousand, and three words each.
type shot struct {
	due    time.Duration // when it was to be sent, since the start
	done   time.Duration
	answer answer
}

// answer is an HTTP status, or one of the following.
type answer int

const (
	unused   answer = 0
	accepted answer = 1 // 200 success
	timedOut answer = 2
	broken   answer = 3 // the connection ended, or could not be made
	unsent   answer = 4 // no connection was free: the generator's own limit
)

func (a answer) String() string {
	switch a {
	case accepted:
		return "success"
	case timedOut:
		return "timeout"
	case broken:
		return "no connection"
	case unsent:
		return "not sent"
	}
	return fmt.Sprintf("status %d", int(a))
}

// phase is a stretch of a run at one rate. In a closed loop the rate is 0: each
// connection sends its next body when it has its answer.
type phase struct {
	Rate float64       `json:"rate"`
	Last time.Duration `json:"last"`
}

// generator posts each body of a file once, as far as it comes.
type generator struct {
	address, path string
	conns         int
	timeout       time.Duration
	phases        []phase
	bodies        [][]byte
	out           *json.Encoder // marks, and the result at the end

	start time.Time
	shots []shot
	next  atomic.Int64
	cpu   []time.Duration // our own, at each mark
}

// loadCommand is the generator's process. It says "mark" on stdout at the
// beginning and at the end of every phase, which is when the driver looks at the
// other processes, and then the result.
func loadCommand(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	g := &generator{out: json.NewEncoder(os.Stdout)}
	flags.StringVar(&g.address, "address", "", "host:port")
	flags.StringVar(&g.path, "path", "/alipay/notify", "path")
	flags.IntVar(&g.conns, "conns", 1, "connections; in an open loop at most")
	flags.DurationVar(&g.timeout, "timeout", 3*time.Second, "how long an answer may take")
	bodies := flags.String("bodies", "", "file with one body a line")
	outcomes := flags.String("outcomes", "", "file to write: one byte a body, how it was answered")
	phases := flags.String("phases", "", `JSON: [{"rate":0,"last":1000000000}, ...]; rate 0 is a closed loop`)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(*phases), &g.phases); err != nil || len(g.phases) == 0 {
		return errors.New("-phases: want a JSON array")
	}
	text, err := os.ReadFile(*bodies)
	if err != nil {
		return err
	}
	g.bodies = bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	g.shots = make([]shot, len(g.bodies))
	if g.phases[0].Rate == 0 {
		err = g.closedLoop(ctx)
	} else {
		err = g.openLoop(ctx)
	}
	if err != nil {
		return err
	}
	return errors.Join(g.writeOutcomes(*outcomes), g.out.Encode(map[string]any{"result": g.result()}))
}

func (g *generator) mark() error {
	used, err := ownCPU()
	g.cpu = append(g.cpu, used)
	return errors.Join(err, g.out.Encode(map[string]bool{"mark": true}))
}

// shoot posts body i, which was due at a time since the start.
func (g *generator) shoot(c *client, i int64, due time.Duration) {
	status, ok, err := c.post(g.bodies[i], g.start.Add(due+g.timeout))
	s := shot{due: due, done: time.Since(g.start), answer: answer(status)}
	var timeout net.Error
	switch {
	case ok:
		s.answer = accepted
	case errors.As(err, &timeout) && timeout.Timeout():
		s.answer = timedOut
	case err != nil:
		s.answer = broken
	}
	g.shots[i] = s
}

// closedLoop keeps every connection busy until the phases are over or the
// bodies used up.
func (g *generator) closedLoop(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g.start = time.Now()
	if err := g.mark(); err != nil {
		return err
	}
	var workers sync.WaitGroup
	usedUp := make(chan struct{})
	for range g.conns {
		workers.Go(func() {
			c := newClient(g.address, g.path)
			defer c.close()
			for ctx.Err() == nil {
				i := g.next.Add(1) - 1
				if i >= int64(len(g.bodies)) {
					return
				}
				g.shoot(c, i, time.Since(g.start))
			}
		})
	}
	go func() {
		workers.Wait()
		close(usedUp)
	}()
	end := g.start
	for _, p := range g.phases {
		end = end.Add(p.Last)
		select {
		case <-time.After(time.Until(end)):
		case <-usedUp:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := g.mark(); err != nil {
			return err
		}
	}
	stop()
	<-usedUp
	return nil
}

// openLoop sends at the given rates whether answers come or not. A body that
// finds every connection busy is sent over a new one, up to conns; what is late
// counts from when it was due.
func (g *generator) openLoop(ctx context.Context) error {
	type job struct {
		i   int64
		due time.Duration
	}
	jobs := make(chan job)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer close(jobs)
	open := 0
	give := func(j job) {
		select {
		case jobs <- j:
			return
		default:
		}
		if open == g.conns {
			g.shots[j.i] = shot{due: j.due, done: j.due, answer: unsent}
			return
		}
		open++
		workers.Go(func() {
			c := newClient(g.address, g.path)
			defer c.close()
			g.shoot(c, j.i, j.due)
			for j := range jobs {
				g.shoot(c, j.i, j.due)
			}
		})
	}
	g.start = time.Now()
	if err := g.mark(); err != nil {
		return err
	}
	var begin time.Duration
	var i int64
	for _, p := range g.phases {
		gap := time.Duration(float64(time.Second) / p.Rate)
		for due := begin; due < begin+p.Last && i < int64(len(g.bodies)); due, i = due+gap, i+1 {
			if ahead := due - time.Since(g.start); ahead > 0 {
				time.Sleep(max(ahead, time.Millisecond)) // several at a time: a timer for each would cost more than they do
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			give(job{i, due})
		}
		begin += p.Last
		time.Sleep(begin - time.Since(g.start))
		if err := g.mark(); err != nil {
			return err
		}
	}
	return nil
}

// writeOutcomes writes a character for each body: '.' not sent, 's' success,
// 'f' another answer, '?' sent and not answered.
func (g *generator) writeOutcomes(file string) error {
	var text strings.Builder
	for _, s := range g.shots {
		switch s.answer {
		case unused, unsent:
			text.WriteByte('.')
		case accepted:
			text.WriteByte('s')
		case timedOut, broken:
			text.WriteByte('?')
		default:
			text.WriteByte('f')
		}
	}
	return os.WriteFile(file, []byte(text.String()), 0o600)
}
