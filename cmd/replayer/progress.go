package main

import (
	"fmt"
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progressEvery is after how many items a line is written where there is no bar.
const progressEvery = 10_000

// progress says on stderr how far a long verb has come: in a bar on a terminal,
// and elsewhere in a line every so often, since a file or a journal cannot move
// its cursor.
type progress struct {
	w     io.Writer
	verb  string
	total int64
	every int64
	done  int64

	bars *mpb.Progress // nil without a terminal
	bar  *mpb.Bar
}

// newProgress begins; total is the largest value that reach is given, and end
// must be called. A bar is only drawn where bar allows it: beside rows on the
// same screen it would be torn apart.
func newProgress(w io.Writer, verb string, total int64, bar bool) *progress {
	p := &progress{w: w, verb: verb, total: total, every: progressEvery}
	if bar && isTerminal(w) {
		p.draw()
	}
	return p
}

func (p *progress) draw() {
	p.bars = mpb.New(mpb.WithOutput(p.w), mpb.WithWidth(48))
	p.bar = p.bars.AddBar(p.total,
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(p.verb+" ")),
		mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5}), decor.Name(" "), decor.AverageETA(decor.ET_STYLE_GO)),
	)
}

// reach counts one item, with which the work has come to at.
func (p *progress) reach(at int64) {
	p.done++
	switch {
	case p.bar != nil:
		p.bar.SetCurrent(at)
	case p.done%p.every == 0:
		fmt.Fprintf(p.w, "replayer: %s: %d done, at %d of %d\n", p.verb, p.done, at, p.total)
	}
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar == nil {
		return
	}
	p.bar.Abort(true) // without effect on one that is complete
	p.bars.Wait()
}

// isTerminal tells whether somebody looks at w live.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
