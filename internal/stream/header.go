package stream

import "github.com/nats-io/nats.go"

// header makes the header of one message after the other. Nearly all have the same
// names in the same order, and then only the values change: the map, which the library
// wants, stays as it is.
type header struct {
	names  []string
	values [][]string // of one each; what the map holds
	made   nats.Header
	n      int  // names of this message so far
	other  bool // they are not those of the map
}

// begin begins the header of the next message.
func (h *header) begin() { h.n = 0 }

func (h *header) add(name, value string) {
	if h.n == len(h.values) {
		h.values = append(h.values, make([]string, 1))
	}
	if h.n == len(h.names) || h.names[h.n] != name {
		h.names, h.other = append(h.names[:h.n], name), true
	}
	h.values[h.n][0] = value
	h.n++
}

// all gives what was added, until the next message.
func (h *header) all() nats.Header {
	if h.n == len(h.names) && !h.other {
		return h.made
	}
	h.names, h.other = h.names[:h.n], false
	h.made = make(nats.Header, h.n)
	for i, name := range h.names {
		h.made[name] = h.values[i]
	}
	return h.made
}
