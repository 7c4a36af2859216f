package stream

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrDenied means that this NATS user may not do what was asked.
var ErrDenied = errors.New("this NATS user may not do that")

// denials tells whoever waits what the server does not let us do. The server
// gives no answer to such a request, and the library tells it to its error
// handler alone: without this, asking too much would look like a server that
// hangs. It is safe for concurrent use.
type denials struct {
	mu      sync.Mutex
	waiting map[*context.CancelCauseFunc]struct{}
}

var deniedSubject = regexp.MustCompile(`(?i)(publish|subscription) to "([^"]+)"`)

// hear takes an error of the connection in.
func (d *denials) hear(err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	denied := ErrDenied
	if m := deniedSubject.FindStringSubmatch(err.Error()); m != nil {
		denied = fmt.Errorf("%w: publish to %s", ErrDenied, m[2])
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for cancel := range d.waiting {
		(*cancel)(denied)
	}
}

// ask runs f, and ends its context when its time is up or when the server says
// that we may not; the error is then ErrDenied. It does not know whose request
// was denied: what asks at the same time on the same connection ends with it.
func (c *Client) ask(ctx context.Context, timeout time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ctx, deny := context.WithCancelCause(ctx)
	defer deny(nil)
	c.denied.mu.Lock()
	if c.denied.waiting == nil {
		c.denied.waiting = make(map[*context.CancelCauseFunc]struct{})
	}
	c.denied.waiting[&deny] = struct{}{}
	c.denied.mu.Unlock()
	defer func() {
		c.denied.mu.Lock()
		defer c.denied.mu.Unlock()
		delete(c.denied.waiting, &deny)
	}()
	err := f(ctx)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, ErrDenied) {
		return cause
	}
	return err
}
