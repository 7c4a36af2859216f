package main

import (
	"cmp"
	"maps"
	"slices"

	"alipay-notify/internal/events"
)

// header describes one header of a message. A test compares the tables with what
// internal/events names and writes.
type header struct {
	name    string
	value   string // what it says, for people
	when    string // when it is there; empty: always
	format  string
	pattern string // of the value as it is sent; values of ce-* are still percent-encoded
	enum    []string
}

// The grammars of values.
const (
	patternText  = `^([!#$&-~]|%[0-9A-F]{2})+$` // what the CloudEvents binding leaves of any text
	patternTime  = `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$`
	patternMilli = `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$`
	patternHash  = `^[0-9a-f]{64}$`
	patternProof = `^key=[0-9a-f]{16}; rule=(keep|drop|insert)-sign-type,(keep|drop)-empty$`
)

// eventHeaders are those of every message on alipay.events.> and alipay.replays.>.
var eventHeaders = []header{
	{name: events.HeaderSpecVersion, value: "The version of CloudEvents.", enum: []string{"1.0"}},
	{name: events.HeaderID, pattern: patternText, value: "With `ce-source`, what makes two messages the same event: Alipay's `notify_id`; where there is none (生活号), the hex SHA-256 of what was signed; for a conflict `<notify_id>~<8 hex>`."},
	{name: events.HeaderSource, pattern: `^/alipay/[0-9]+$`, value: "`/alipay/<app_id>`: the app whose keys proved it."},
	{name: events.HeaderType, pattern: patternText, value: "Alipay's own name: `msg_method`, else `notify_type`, else `service`, verbatim."},
	{name: events.HeaderSubject, pattern: patternText, when: "kinds with a section of their own", value: "The key, verbatim; the subject's last token is a sanitised copy."},
	{name: events.HeaderTime, format: "date-time", pattern: patternTime, value: "When it happened, by `event_time` (生活号: `CreateTime`); where that is missing or means nothing, the time that `ce-timesource` names."},
	{name: events.HeaderTimeSource, enum: []string{"utc_timestamp", "notify_time", "received"}, when: "`ce-time` is not the event's own time", value: "What `ce-time` is instead: when Alipay sent the delivery that was stored (`utc_timestamp`, `notify_time`), or when it came (`received`)."},
	{name: events.HeaderContentType, enum: []string{"application/json"}, value: "The payload is UTF-8 JSON, whatever charset Alipay used."},
	{name: events.HeaderDataSchema, pattern: `^urn:alipay-notify:schema:.+:v[0-9]+$`, when: "the data has a schema and is as it says", value: "The `$id` of the data's JSON Schema in `schemas/`. It is a name and no address."},
	{name: events.HeaderReceivedTime, format: "date-time", pattern: patternMilli, value: "When the stored delivery came to the receiver."},
	{name: events.HeaderAuthAppID, pattern: `^[0-9]+$`, when: "a service provider's (ISV) envelope has it", value: "`auth_app_id`: the app that gave the authorisation."},
	{name: events.HeaderMsgUID, pattern: `^[0-9]+$`, when: "a service provider's (ISV) envelope has it", value: "`msg_uid`: the merchant whose message it is."},
	{name: events.HeaderDedupe, enum: []string{"stream"}, when: "Redis was not asked", value: "The stream's duplicates window alone decided that this is new: a second copy is likelier than otherwise."},
	{name: events.HeaderConflict, pattern: patternText, when: "the id had other content before", value: "The `notify_id` under which the other content is stored."},
	{name: events.HeaderDecodeError, pattern: patternText, when: "the data could not be typed", value: "Why. The event then has the form `other.*`."},
	{name: events.HeaderReplayJob, pattern: patternText, when: "replays", value: "The job that sent the event again."},
	{name: events.HeaderReplayOf, pattern: `^[0-9]+$`, when: "replays", value: "The sequence of the stored event."},
	{name: events.HeaderReplayReason, pattern: patternText, when: "replays", value: "Why, in the operator's words."},
	{name: events.HeaderMessageID, pattern: `^([0-9]+:[!-~]+|replay:[!-~]+:[0-9]+)$`, value: "`<app_id>:<ce-id>`, by which the stream knows a repetition; of a replay `replay:<job>:<sequence>`."},
	{name: events.HeaderFingerprint, pattern: patternHash, value: "Hex SHA-256 of what stays the same when Alipay stamps and signs a retry anew. Equal fingerprints are the same content."},
	{name: events.HeaderRaw, pattern: `^[!-~]+$`, value: "The request's body, byte for byte; with `Alipay-Raw-Encoding`, encoded so."},
	{name: events.HeaderRawEncoding, enum: []string{"base64", "gzip+base64"}, when: "the body does not fit a header as it is", value: "How `Alipay-Raw` is encoded: base64 of the body, or of its gzip."},
	{name: events.HeaderProof, pattern: patternProof, value: "Which key (the first 16 hex digits of the SHA-256 of its SubjectPublicKeyInfo) and which signing rule proved it."},
}

// inferredHeaders are those of what was concluded: there is no request behind it,
// and so neither proof nor fingerprint.
var inferredHeaders = []header{
	{name: events.HeaderSpecVersion, value: "The version of CloudEvents.", enum: []string{"1.0"}},
	{name: events.HeaderID, pattern: patternText, value: "A function of type, key and state: the same conclusion has the same id."},
	{name: events.HeaderSource, pattern: `^/alipay/[0-9]+/inferred$`, value: "`/alipay/<app_id>/inferred`: Alipay never said it."},
	{name: events.HeaderType, pattern: patternText, value: "The type of the genuine event that was missed."},
	{name: events.HeaderSubject, pattern: patternText, value: "The key, verbatim."},
	{name: events.HeaderTime, format: "date-time", pattern: patternTime, value: "When it was concluded."},
	{name: events.HeaderContentType, enum: []string{"application/json"}, value: "The payload is UTF-8 JSON."},
	{name: events.HeaderDataSchema, pattern: `^urn:alipay-notify:schema:.+:v[0-9]+$`, value: "The `$id` of the data's JSON Schema."},
	{name: events.HeaderMessageID, pattern: `^inferred:[!-~]+$`, value: "`inferred:<ce-id>`."},
}

// keptHeaders are those of requests that were not accepted.
var keptHeaders = []header{
	{name: events.HeaderKeptOutcome, pattern: patternText, value: "What the sender was told: `malformed`, `refused` or `too_large`."},
	{name: events.HeaderKeptReason, pattern: patternText, value: "Why, as one word; the subject's last token."},
	{name: events.HeaderKeptDetail, pattern: patternText, value: "Why, in words. It holds nothing of the request."},
	{name: events.HeaderKeptSource, pattern: patternText, value: "The address that it came from."},
	{name: events.HeaderKeptPathApp, pattern: patternText, when: "the URL named an app", value: "That app."},
	{name: events.HeaderKeptContentType, pattern: patternText, when: "the request had one", value: "Its Content-Type."},
	{name: events.HeaderKeptNotifyID, pattern: patternText, when: "the signature is good", value: "`notify_id`."},
	{name: events.HeaderKeptType, pattern: patternText, when: "the signature is good", value: "What would have been `ce-type`."},
	{name: events.HeaderReceivedTime, format: "date-time", pattern: patternMilli, value: "When it came."},
	{name: events.HeaderFingerprint, pattern: patternHash, when: "the signature is good", value: "As of an event."},
	{name: events.HeaderProof, pattern: patternProof, when: "the signature is good", value: "As of an event."},
	{name: events.HeaderMessageID, pattern: `^[!-~]+$`, when: "the signature is good", value: "`<app_id>:<notify_id>:<fingerprint>`: Alipay's retries of it are kept once."},
}

// headerSchema describes headers as a JSON Schema; more may come. examples gives
// values that were seen.
func headerSchema(headers []header, examples map[string][]string) object {
	var properties object
	required := []string{}
	for _, h := range headers {
		description := h.value
		if h.when == "" {
			required = append(required, h.name)
		} else {
			description += " Present: " + h.when + "."
		}
		s := object{{"description", description}, {"type", "string"}}
		if h.format != "" {
			s = append(s, member{"format", h.format})
		}
		if h.pattern != "" {
			s = append(s, member{"pattern", h.pattern})
		}
		if h.enum != nil {
			s = append(s, member{"enum", h.enum})
		}
		if seen := examples[h.name]; seen != nil {
			s = append(s, member{"examples", seen})
		}
		properties = append(properties, member{h.name, s})
	}
	return object{{"type", "object"}, {"required", required}, {"properties", properties}}
}

// headerNames gives the names of an example's headers in the order of the tables.
func (x example) headerNames() []string {
	place := make(map[string]int)
	for i, h := range slices.Concat(eventHeaders, keptHeaders) {
		if place[h.name] == 0 {
			place[h.name] = i + 1
		}
	}
	return slices.SortedFunc(maps.Keys(x.header), func(a, b string) int { return cmp.Compare(place[a], place[b]) })
}

// seen gathers what headers say in examples, up to three values of each.
func seen(all ...example) map[string][]string {
	values := make(map[string][]string)
	for _, x := range all {
		for name, value := range x.header {
			room := 3
			if name == events.HeaderRaw {
				room = 1 // the examples of messages have them all
			}
			if len(values[name]) < room && !slices.Contains(values[name], value) {
				values[name] = append(values[name], value)
			}
		}
	}
	return values
}
