package dedupe

import (
	"context"
	"sync"
)

// maxSettling bounds the commits behind the answers. One more is made before its
// answer: a Redis that has become slow then slows us down, and nothing piles up.
const maxSettling = 1024

// settling is the commits under way. The event is stored by then and the sender
// may be told so; a crash here leaves what a crash before the commit leaves, a
// lease that runs out.
type settling struct {
	mu   sync.Mutex
	keys map[string]chan struct{} // closed when the commit of the key is settled
}

// run settles a key, beside its caller if there is room for that.
func (s *settling) run(key string, settle func()) {
	done, ok := s.add(key)
	if !ok {
		settle()
		return
	}
	go func() {
		defer s.remove(key, done)
		settle()
	}()
}

func (s *settling) add(key string) (done chan struct{}, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.keys[key]; taken || len(s.keys) >= maxSettling {
		return nil, false
	}
	if s.keys == nil {
		s.keys = make(map[string]chan struct{})
	}
	done = make(chan struct{})
	s.keys[key] = done
	return done, true
}

func (s *settling) remove(key string, done chan struct{}) {
	s.mu.Lock()
	delete(s.keys, key)
	s.mu.Unlock()
	close(done)
}

// wait returns when nothing is under way for the key, or for no key where it is
// empty, or with the context's error.
func (s *settling) wait(ctx context.Context, key string) error {
	for {
		done := s.find(key)
		if done == nil {
			return ctx.Err()
		}
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *settling) find(key string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key != "" {
		return s.keys[key]
	}
	for _, done := range s.keys {
		return done
	}
	return nil
}
