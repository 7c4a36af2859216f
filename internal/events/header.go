package events

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The headers of a stored event: CloudEvents 1.0, NATS binding, binary mode,
// and our own. DESIGN.md section 3 fixes names and values.
//
// Events of one key come in no order. A consumer orders them by ce-time, and
// those of one time by the bytes of ce-id: that is the same for everybody, and
// after every replay. HeaderTimeSource is absent where ce-time is the event's own
// time. Else it says what ce-time is instead: utc_timestamp or notify_time, when
// Alipay sent the delivery that was stored, or received, when that came here.
// Such a time can only be later than the fact, by up to the 25 hours of Alipay's
// retries. Of an event that has it and stands first, the order is sure; one that
// has it and stands last may have happened before the others.
const (
	HeaderSpecVersion  = "ce-specversion"
	HeaderID           = "ce-id"
	HeaderSource       = "ce-source"
	HeaderType         = "ce-type"
	HeaderSubject      = "ce-subject"
	HeaderTime         = "ce-time"
	HeaderTimeSource   = "ce-timesource"
	HeaderContentType  = "ce-datacontenttype"
	HeaderDataSchema   = "ce-dataschema"
	HeaderReceivedTime = "ce-receivedtime"
	HeaderAuthAppID    = "ce-authappid"
	HeaderMsgUID       = "ce-msguid"
	HeaderDedupe       = "ce-dedupe"
	HeaderConflict     = "ce-conflict"
	HeaderDecodeError  = "ce-decodeerror"
	HeaderReplayJob    = "ce-replayjob"
	HeaderReplayOf     = "ce-replayof"
	HeaderReplayReason = "ce-replayreason"
	HeaderMessageID    = "Nats-Msg-Id"
	HeaderFingerprint  = "Alipay-Fingerprint"
	HeaderRaw          = "Alipay-Raw"
	HeaderRawEncoding  = "Alipay-Raw-Encoding"
	HeaderProof        = "Alipay-Proof"
)

// Source is the ce-source of what Alipay says about an app.
func Source(appID string) string { return "/alipay/" + appID }

// Header gives the event's headers, one value each. It fails with
// fault.TooLarge's cause when the request does not fit (see CheckSize).
func (e *Event) Header() (map[string]string, error) {
	h := make(map[string]string, 16)
	err := e.EachHeader(func(name, value string) { h[name] = value })
	return h, err
}

// EachHeader is Header without a map: it gives one header after the other to add,
// and all of them or an error.
func (e *Event) EachHeader(add func(name, value string)) error {
	budget := maxHeader // nearly always that will do
	if !e.roomy() {
		budget = rawBudget(*e)
	}
	raw, encoding, err := encodeRaw(e.Raw, budget)
	if err != nil {
		return fmt.Errorf("encode %s: %w", HeaderRaw, err)
	}
	e.smallHeaders(add)
	add(HeaderRaw, raw)
	if encoding != "" {
		add(HeaderRawEncoding, encoding)
	}
	return nil
}

// smallHeaders are all headers but the request.
func (e *Event) smallHeaders(add func(name, value string)) {
	add(HeaderSpecVersion, "1.0")
	add(HeaderID, escape(e.ID))
	add(HeaderSource, Source(e.AppID))
	add(HeaderType, escape(e.Type))
	add(HeaderTime, formatTime(e.Time))
	add(HeaderContentType, "application/json")
	add(HeaderReceivedTime, formatMillis(e.ReceivedAt))
	add(HeaderMessageID, e.MessageID())
	add(HeaderFingerprint, e.Fingerprint)
	add(HeaderProof, e.Proof)
	optional := func(name, value string) {
		if value != "" {
			add(name, escape(value))
		}
	}
	optional(HeaderSubject, e.Key)
	optional(HeaderTimeSource, e.TimeSource)
	optional(HeaderDataSchema, e.DataSchema)
	optional(HeaderAuthAppID, e.AuthAppID)
	optional(HeaderMsgUID, e.MsgUID)
	optional(HeaderConflict, e.Conflict)
	optional(HeaderDecodeError, e.DecodeError)
	if e.Unasked {
		add(HeaderDedupe, "stream")
	}
}

// formatMillis writes a time in UTC with three digits behind the second. (A layout of
// that form would be read anew each time; RFC 3339 is the one that time knows.)
func formatMillis(t time.Time) string {
	b := make([]byte, 0, len(time.RFC3339Nano))
	b = t.UTC().AppendFormat(b, time.RFC3339)
	millis := t.Nanosecond() / int(time.Millisecond)
	b = append(b[:len(b)-1], '.', byte('0'+millis/100), byte('0'+millis/10%10), byte('0'+millis%10), 'Z') //nolint:gosec // digits
	return string(b)
}

// rawBudget is what is left for the request beside the other headers. It does
// not depend on what is only known after a claim: a conflict's longer names and
// the dedupe header are counted always.
func rawBudget(e Event) int {
	if e.Conflict == "" {
		e = e.AsConflict()
	}
	e.Unasked = true
	size := len("NATS/1.0\r\n\r\n") + len(HeaderRaw) + len(HeaderRawEncoding) + len(rawGzipBase64) + 8
	e.smallHeaders(func(name, value string) { size += len(name) + len(value) + len(": \r\n") })
	return maxHeader - size
}

// ParseHeader reads an event back from a stored message. It is lenient: what
// is missing stays empty, and what cannot be read keeps nothing else from being
// read, so that an operator can look at anything. The error names all of it.
func ParseHeader(get func(name string) string, subject string, data []byte) (Event, error) {
	e := Event{
		ID:          unescape(get(HeaderID)),
		AppID:       appOfSource(get(HeaderSource)),
		Kind:        kindOfSubject(subject),
		Type:        unescape(get(HeaderType)),
		Key:         unescape(get(HeaderSubject)),
		Subject:     subject,
		TimeSource:  unescape(get(HeaderTimeSource)),
		DataSchema:  unescape(get(HeaderDataSchema)),
		AuthAppID:   unescape(get(HeaderAuthAppID)),
		MsgUID:      unescape(get(HeaderMsgUID)),
		Unasked:     get(HeaderDedupe) == "stream",
		Conflict:    unescape(get(HeaderConflict)),
		DecodeError: unescape(get(HeaderDecodeError)),
		Fingerprint: get(HeaderFingerprint),
		Proof:       get(HeaderProof),
		Data:        data,
	}
	var problems []string
	read := func(name string, err error) {
		if err != nil {
			problems = append(problems, name+": "+err.Error())
		}
	}
	e.Time = parseTime(get, HeaderTime, read)
	e.ReceivedAt = parseTime(get, HeaderReceivedTime, read)
	var err error
	e.Raw, err = decodeRaw(get(HeaderRaw), get(HeaderRawEncoding))
	read(HeaderRaw, err)
	if len(problems) > 0 {
		return e, errors.New(strings.Join(problems, "; ")) // one line: it ends up in tables
	}
	return e, nil
}

// parseTime reads a time from a header; one that is not there is the zero time.
func parseTime(get func(string) string, name string, read func(string, error)) time.Time {
	v := get(name)
	if v == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	read(name, err)
	return t
}

// inferredSource ends the ce-source of what reconciliation concluded about an
// app, and Alipay never said.
const inferredSource = "/inferred"

// appOfSource gives the app of /alipay/<app> and of /alipay/<app>/inferred.
func appOfSource(source string) string {
	app, ours := strings.CutPrefix(source, Source(""))
	if !ours {
		return source
	}
	return strings.TrimSuffix(app, inferredSource)
}

// kindOfSubject gives entity.action of alipay.events.<app>.<entity>.<action>.<key>,
// of alipay.inferred, which is shaped alike, and of alipay.replays.<consumer>, which
// has one token more before the app. Nothing else names a kind.
func kindOfSubject(subject string) string {
	tokens := strings.Split(subject, ".")
	if len(tokens) < 2 || tokens[0] != "alipay" {
		return ""
	}
	entity := 3
	switch tokens[1] {
	case "events", "inferred":
	case "replays":
		entity = 4
	default:
		return ""
	}
	if len(tokens) < entity+2 {
		return ""
	}
	return tokens[entity] + "." + tokens[entity+1]
}

const upperHex = "0123456789ABCDEF"

// escape writes a header value as the CloudEvents NATS binding says: space,
// double quote, percent and everything outside 0x21-0x7E as %XX of its UTF-8
// bytes. No value can therefore end its line or begin another header.
func escape(s string) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = !escaped(s[i])
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; escaped(c) {
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func escaped(c byte) bool { return c < 0x21 || c > 0x7e || c == '"' || c == '%' }

// unescape undoes escape. A broken escape stays as it is: this is for reading
// what somebody else may have written.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := strings.IndexByte(upperHex, upper(s[i+1])), strings.IndexByte(upperHex, upper(s[i+2]))
			if hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo)) //nolint:gosec // both are below 16
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'f' {
		return c - 'a' + 'A'
	}
	return c
}
