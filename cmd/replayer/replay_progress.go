package main

import (
	"fmt"
	"io"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"alipay-notify/internal/replay"
)

// barLines is how often a line is written where there is no bar.
const barLines = 5 * time.Second

// jobBar says on stderr how far a job has come, how fast, and for how long still:
// in a bar on a terminal, elsewhere in a line now and then. It is for one goroutine.
type jobBar struct {
	w     io.Writer
	job   replay.Job // as it was when the run began
	began time.Time
	last  time.Time // the last line
	now   func() time.Time

	bars *mpb.Progress // nil without a terminal
	bar  *mpb.Bar
}

func newJobBar(w io.Writer, j replay.Job) *jobBar {
	b := &jobBar{w: w, job: j, now: time.Now}
	b.began = b.now()
	b.last = b.began
	if isTerminal(w) {
		b.draw()
	}
	return b
}

func (b *jobBar) draw() {
	b.bars = mpb.New(mpb.WithOutput(b.w), mpb.WithWidth(40))
	b.bar = b.bars.AddBar(int64(b.job.Items), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name("replay")),
		mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string {
			return fmt.Sprintf("%d of %d%s", s.Current, s.Total, b.pace(int(s.Current)))
		})))
}

// pace is the rate of this run, and how long it has still to go.
func (b *jobBar) pace(done int) string {
	here := done - b.job.Sent - b.job.Failed
	spent := b.now().Sub(b.began)
	if here <= 0 || spent <= 0 {
		return ""
	}
	rate := float64(here) / spent.Seconds()
	left := time.Duration(float64(b.job.Items-done) / rate * float64(time.Second))
	return fmt.Sprintf(", %.0f/s, %s left", rate, shortDuration(left))
}

// observe is told by the engine.
func (b *jobBar) observe(p replay.Progress) {
	done := p.Sent + p.Failed
	if b.bar != nil {
		b.bar.SetCurrent(int64(done))
		return
	}
	if now := b.now(); now.Sub(b.last) >= barLines {
		b.last = now
		fmt.Fprintf(b.w, "replayer: replay: %d of %d%s\n", done, b.job.Items, b.pace(done))
	}
}

// end takes the bar away.
func (b *jobBar) end() {
	if b.bar == nil {
		return
	}
	b.bar.Abort(true) // without effect on one that is complete
	b.bars.Wait()
}
