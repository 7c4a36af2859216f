package events

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Amount is a sum of money in yuan as a decimal string, for example "88.80".
// It is never a float: cents must not move.
type Amount string

// A converter turns a value as Alipay writes it into the value that we write.
// ok is false when the value is not of that type; nothing is guessed.
type converter func(raw string) (value string, ok bool)

// textOf gives what a JSON string or number says, as text.
func textOf(raw string) (string, bool) {
	switch {
	case len(raw) < 1, raw[0] == '"' && len(raw) < 2:
		return "", false
	case raw[0] == '"':
		if inner := raw[1 : len(raw)-1]; plain(inner) {
			return inner, true
		}
		var s string
		return s, json.Unmarshal([]byte(raw), &s) == nil
	case raw[0] == '-' || digit(raw[0]):
		return raw, true
	}
	return "", false
}

// toText takes strings as they are and numbers by their digits: ids are
// strings whatever they came as.
func toText(raw string) (string, bool) {
	if raw != "" && raw[0] == '"' {
		return raw, true
	}
	s, ok := textOf(raw)
	return quote(s), ok
}

// toBool takes true, false, and both as strings in any case (PROTOCOL.md 2.4).
func toBool(raw string) (string, bool) {
	s := raw
	if t, ok := textOf(raw); ok {
		s = t
	}
	switch strings.ToLower(s) {
	case "true":
		return "true", true
	case "false":
		return "false", true
	}
	return "", false
}

// toEpochTime takes seconds or milliseconds as string or number (PROTOCOL.md 2.1).
func toEpochTime(raw string) (string, bool) {
	t := epochOf(raw)
	return quoteTime(t), !t.IsZero()
}

// toBeijingTime takes yyyy-MM-dd HH:mm:ss with an optional fraction, in UTC+8 (PROTOCOL.md 2.6).
func toBeijingTime(raw string) (string, bool) {
	s, ok := textOf(raw)
	if !ok {
		return "", false
	}
	t, err := time.ParseInLocation(time.DateTime, s, beijing) // the parser takes a fraction where the layout has none
	// A year below 1 cannot be written in RFC 3339.
	return quoteTime(t), err == nil && t.UTC().Year() >= 1
}

func toAmount(raw string) (string, bool) {
	s, ok := textOf(raw)
	if !ok {
		return "", false
	}
	whole, fraction, point := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	ok = whole != "" && strings.Trim(whole, "0123456789") == "" &&
		point == (fraction != "") && strings.Trim(fraction, "0123456789") == ""
	return quote(s), ok
}

// toJSON takes an object or array, or a string that holds one.
func toJSON(raw string) (string, bool) {
	if s, ok := textOf(raw); ok {
		raw = s
	}
	raw = strings.TrimSpace(raw)
	return raw, raw != "" && (raw[0] == '{' || raw[0] == '[') && json.Valid([]byte(raw))
}

// parseEpoch reads 10 digits as seconds or 13 as milliseconds, within the
// years 2010 to 2100. The documents show others, which mean nothing.
func parseEpoch(s string) (time.Time, bool) {
	if len(s) != 10 && len(s) != 13 {
		return time.Time{}, false
	}
	if strings.Trim(s, "0123456789") != "" {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	if len(s) == 10 {
		n *= 1000
	}
	t := time.UnixMilli(n).UTC()
	return t, t.Year() >= 2010 && t.Year() <= 2100
}

// epochOf reads a time that a value says as seconds or milliseconds, or gives
// the zero time.
func epochOf(raw string) time.Time {
	if s, ok := textOf(raw); ok {
		if t, ok := parseEpoch(s); ok {
			return t
		}
	}
	return time.Time{}
}

// formatTime writes a time the way our events do: RFC 3339, UTC, with the
// fraction that it has.
func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// quoteTime is quote of formatTime.
func quoteTime(t time.Time) string {
	b := make([]byte, 0, len(time.RFC3339Nano)+2)
	b = t.UTC().AppendFormat(append(b, '"'), time.RFC3339Nano)
	return string(append(b, '"'))
}
