package stream

import "github.com/nats-io/nats-server/v2/server"

// Classify lets the tests ask about errors that no server gives on demand.
var Classify = classify

// Server gives the server itself, to break it as a full disk would.
func (e *Embedded) Server() *server.Server { return e.server }
