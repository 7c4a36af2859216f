package server

import (
	"time"

	"alipay-notify/internal/ingest"
)

// log writes the one line of a notification, whichever way it went. It holds
// no payload, no business key, no signature, and of what was not proved nothing
// that its sender chose.
func (s *Server) log(source string, r ingest.Result, reply reply, bytes int, took time.Duration) {
	line := s.options.Log.WithLevel(reply.level)
	if line == nil {
		return
	}
	line.Str("outcome", string(r.Outcome)).
		Int("status", reply.status).
		Str("source", source).
		Int("bytes", bytes).
		Dur("took_ms", took).
		Dur("decide_ms", r.Decide).
		Dur("store_ms", r.Store)
	optional := func(name, value string) {
		if value != "" {
			line.Str(name, value)
		}
	}
	optional("reason", r.Reason)
	optional("app_id", r.AppID)
	optional("event_id", r.EventID)
	optional("type", r.Type)
	optional("kind", r.Kind)
	optional("key", r.Match.KeyID)
	if r.Match.KeyID != "" {
		line.Str("rule", r.Match.Rule.String())
	}
	optional("decode_error", r.DecodeError)
	if r.Sequence > 0 {
		line.Uint64("sequence", r.Sequence)
	}
	if r.Conflict {
		line.Bool("conflict", true)
	}
	if r.Quarantined {
		line.Bool("quarantined", true)
	}
	if r.Unasked {
		line.Bool("dedupe_unasked", true)
	}
	if r.Err != nil {
		line.Str("error", r.Err.Error())
	}
	line.Msg("notification")
}
