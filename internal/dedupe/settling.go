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
	keys map[string]chan struct{} // closed when the commit of the key is settled; nil until somebody waits
}

// add notes that the commit of a key is under way behind its answer, if there is
// room for that.
func (s *settling) add(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.keys[key]; taken || len(s.keys) >= maxSettling {
		return false
	}
	if s.keys == nil {
		s.keys = make(map[string]chan struct{})
	}
	s.keys[key] = nil
	return true
}

// remove notes that it is settled.
func (s *settling) remove(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if done := s.keys[key]; done != nil {
		close(done)
	}
	delete(s.keys, key)
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

// find gives what is closed when the commit of the key, or some commit, is
// settled; nil when there is none.
func (s *settling) find(key string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key == "" {
		for key = range s.keys {
			break
		}
	}
	done, underway := s.keys[key]
	if underway && done == nil {
		done = make(chan struct{})
		s.keys[key] = done
	}
	return done
}
