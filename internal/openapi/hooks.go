package openapi

import (
	"context"
	"time"
)

// Hooks are called around every attempt, for traces and metrics, from the
// goroutine of the call. They see nothing personal: no parameter, no answer.
type Hooks struct {
	// Start may put a span into the context that the attempt then runs under.
	Start func(context.Context, Attempt) context.Context
	// Finish comes after every Start, with that context.
	Finish func(context.Context, Attempt, Outcome)
}

// Attempt is one HTTP request of a call.
type Attempt struct {
	Method  string
	Gateway Gateway
	Number  int           // from 1
	Waited  time.Duration // for the rate limit
}

// Outcome is how an attempt ended.
type Outcome struct {
	Kind      Kind   // empty: success. A closed set, fit for a label
	Reason    string // Alipay's code; open, so not fit for one
	Status    int
	TraceID   string
	RotatedSN string // see Response
	Skew      time.Duration
	Duration  time.Duration
}

func (h Hooks) start(ctx context.Context, a Attempt) context.Context {
	if h.Start == nil {
		return ctx
	}
	return h.Start(ctx, a)
}

func (h Hooks) finish(ctx context.Context, a Attempt, o Outcome) {
	if h.Finish != nil {
		h.Finish(ctx, a, o)
	}
}
