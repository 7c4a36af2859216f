package main

import (
	"fmt"
	"strings"

	"alipay-notify/internal/events"
)

// contractVersion is what the document calls itself. Within 1.x it only grows.
const contractVersion = "1.0.0"

// about is the document's description of itself.
const about = `Alipay's asynchronous notifications, proved by their signature, as typed events on NATS JetStream: CloudEvents 1.0, NATS binding, binary mode.

The document is written from the consumer's side: every operation is what a consumer receives. Read with durable pull consumers and explicit acknowledgements; ` + "`docs/EVENTS.md`" + ` says how, and what each event means and does not mean. Channels tagged ` + "`operators`" + ` hold no events and are for those who run the receiver.

Payloads are described with words that mean the same in the AsyncAPI Schema Object (JSON Schema draft-07) and in 2020-12. They are copies of the files beside this document, which are 2020-12 and whose ` + "`$id`" + ` is in ` + "`ce-dataschema`" + ` and here in ` + "`x-schema-id`" + `. Every example was made by the receiver's own code, but those of replays and inferred events.

Values of ` + "`ce-*`" + ` headers are percent-encoded as the CloudEvents NATS binding says; patterns are of the encoded value, and a client decodes it. Header names are case-sensitive.`

// asyncapi makes the AsyncAPI document. It has no bindings: those for NATS know
// queue groups alone, which JetStream's pull consumers do without.
func asyncapi(messages []message, refused map[string]example) ([]byte, error) {
	ops, err := operatorChannels(refused)
	if err != nil {
		return nil, err
	}
	inferred, err := inferredChannel(messages)
	if err != nil {
		return nil, err
	}
	channels := eventChannels(messages)
	channels = append(append(channels, replayChannel(messages), inferred), ops...)

	var channelPart, operations, messagePart, schemaPart object
	for _, c := range channels {
		channelPart = append(channelPart, member{c.id, c.object()})
		operations = append(operations, member{"receive" + camel(c.id), object{
			{"action", "receive"},
			{"channel", ref("channels", c.id)},
			{"title", c.title},
			{"tags", []object{{{"name", c.tag}}}},
		}})
		for _, m := range c.messages {
			messagePart = append(messagePart, m)
		}
	}
	var all []example
	for _, m := range messages {
		all = append(all, m.examples...)
		if m.schema != nil {
			schemaPart = append(schemaPart, member{m.name, append(m.schema, member{"x-schema-id", m.schemaID})})
		}
	}
	schemaPart = append(schemaPart, member{"eventHeaders", headerSchema(eventHeaders, seen(all...))})

	return pretty(object{
		{"asyncapi", "3.0.0"},
		{"id", "urn:alipay-notify:asyncapi:v1"},
		{"info", object{{"title", "alipay-notify events"}, {"version", contractVersion}, {"description", about}, {"tags", tags}}},
		{"defaultContentType", "application/json"},
		{"servers", servers},
		{"channels", channelPart},
		{"operations", operations},
		{"components", object{
			{"parameters", parameters},
			{"messages", messagePart},
			{"schemas", schemaPart},
			{"securitySchemes", securitySchemes},
		}},
	})
}

// channel is one family of subjects.
type channel struct {
	id, address, title, description string

	stream   string
	tag      string
	params   []string
	messages []member // those that this channel brings with it
	refs     []string // those of others
}

func (c channel) object() object {
	var params, messages object
	for _, p := range c.params {
		params = append(params, member{p, ref("components", "parameters", p)})
	}
	for _, m := range c.messages {
		messages = append(messages, member{m.name, ref("components", "messages", m.name)})
	}
	for _, name := range c.refs {
		messages = append(messages, member{name, ref("components", "messages", name)})
	}
	return object{
		{"address", c.address},
		{"title", c.title},
		{"description", c.description},
		{"parameters", params},
		{"messages", messages},
		{"tags", []object{{{"name", c.tag}}}},
		{"x-stream", c.stream},
	}
}

func ref(path ...string) object {
	return object{{"$ref", "#/" + strings.Join(path, "/")}}
}

// eventChannels gives one channel for each message of ALIPAY_EVENTS.
func eventChannels(messages []message) []channel {
	var all []channel
	for _, m := range messages {
		entity, _, _ := strings.Cut(m.name, ".")
		c := channel{
			id: m.name, title: m.title, stream: "ALIPAY_EVENTS", tag: entity,
			messages: []member{{m.name, m.object()}},
		}
		switch {
		case m.key != "":
			c.address, c.params = "alipay.events.{appId}."+m.name+".{key}", []string{"appId", "key"}
			c.description = m.kind.When + "\n\nThe key is `" + m.key + "`."
		case m.method != "":
			c.address, c.params = "alipay.events.{appId}."+m.name+"._", []string{"appId"}
			c.description = "`" + m.method + "`, which has no kind in v1: its data is as it came. (" + m.fact + ")"
			if m.schemaID != "" {
				c.description += " It is as its schema says where `ce-dataschema` names that."
			}
		default:
			c.address, c.params = "alipay.events.{appId}.other.{method}._", []string{"appId", "method"}
			c.description = "Whatever else is verified, and events of known kinds that could not be typed (`ce-decodeerror`). Its data is as it came."
		}
		all = append(all, c)
	}
	return all
}

// object describes a message that is stored as an event.
func (m message) object() object {
	own := object{{"type", "object"}}
	payload := ref("components", "schemas", m.name)
	required, properties := []string(nil), object(nil)
	if m.key != "" {
		required = []string{events.HeaderSubject, events.HeaderDataSchema}
	}
	if m.method != "" {
		properties = append(properties, member{events.HeaderType, object{{"const", m.method}}})
	}
	if m.schemaID != "" {
		properties = append(properties, member{events.HeaderDataSchema, object{{"const", m.schemaID}}})
	}
	switch {
	case m.schemaID == "":
		payload = untyped
	case m.key == "": // Alipay promised nothing, and nothing was converted
		payload = object{{"anyOf", []object{payload, untyped}}}
	}
	if required != nil {
		own = append(own, member{"required", required})
	}
	if properties != nil {
		own = append(own, member{"properties", properties})
	}
	return object{
		{"name", m.name},
		{"title", m.title},
		{"contentType", "application/json"},
		{"headers", object{{"allOf", []object{ref("components", "schemas", "eventHeaders"), own}}}},
		{"payload", payload},
		{"examples", exampleObjects(m.examples)},
	}
}

// untyped is the payload of messages whose fields nobody has documented.
var untyped = object{
	{"description", "What Alipay sent, as it came: biz_content; of a flat notification all fields but sign and sign_type as strings; bytes that are invalid in their charset as {\"_base64\": ...} with ce-decodeerror."},
	{"type", "object"},
}

func exampleObjects(all []example) []object {
	var out []object
	for _, x := range all {
		headers := object{}
		for _, name := range x.headerNames() {
			headers = append(headers, member{name, x.header[name]})
		}
		o := object{{"name", x.name}, {"summary", x.summary + " (" + x.subject + ")"}}
		if len(headers) > 0 {
			o = append(o, member{"headers", headers})
		}
		out = append(out, append(o, member{"payload", x.payload}))
	}
	return out
}

// replayChannel is where operators send events again to one consumer.
func replayChannel(messages []message) channel {
	c := channel{
		id: "replays", address: "alipay.replays.{consumer}.{appId}.{entity}.{action}.{key}",
		title: "Events sent again to one consumer", stream: "ALIPAY_REPLAYS", tag: "replays",
		description: "What an operator sends again to one consumer alone: the original subject after `alipay.events.`, behind the consumer's name. " +
			"Message and headers are those of the stored event, but for `Nats-Msg-Id` and the three headers `ce-replay*`. " +
			"Read it as you read `ALIPAY_EVENTS`.",
		params: []string{"consumer", "appId", "entity", "action", "key"},
	}
	for _, m := range messages {
		c.refs = append(c.refs, m.name)
	}
	return c
}

// inferredChannel is what reconciliation concludes; consumers opt in.
func inferredChannel(messages []message) (channel, error) {
	var kinds []object
	var x example
	for _, m := range messages {
		if m.key == "" {
			continue
		}
		kinds = append(kinds, ref("components", "schemas", m.name))
		if m.name == "voucher.stopped" {
			var err error
			if x, err = inferred(m.examples[0]); err != nil {
				return channel{}, err
			}
		}
	}
	return channel{
		id: "inferred", address: "alipay.inferred.{appId}.{entity}.{action}.{key}",
		title: "Events that were concluded", stream: "ALIPAY_INFERRED", tag: "inferred",
		description: "What reconciliation concludes from the state at Alipay, for consumers that opt in. Alipay never said it, so there is no request " +
			"and no proof. A genuine event that comes late is published as always, and nothing is withdrawn: match the two by type, key and `out_biz_no`.",
		params: []string{"appId", "entity", "action", "key"},
		messages: []member{{"inferred", object{
			{"name", "inferred"},
			{"title", "An event that was concluded"},
			{"contentType", "application/json"},
			{"headers", headerSchema(inferredHeaders, seen(x))},
			{"payload", object{{"description", "Data of the kind that the subject names, as far as it is known."}, {"anyOf", kinds}}},
			{"examples", exampleObjects([]example{x})},
		}}},
	}, nil
}

// camel makes a name of a channel's id: voucher.created is VoucherCreated.
func camel(id string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(id, func(r rune) bool { return r == '.' || r == '_' }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

var parameters = object{
	{"appId", object{
		{"description", "The app that Alipay addressed (`app_id`): digits."},
		{"examples", []string{"2021000000000001"}},
	}},
	{"key", object{
		{"description", fmt.Sprintf("The key of the event as one token: bytes other than `A-Z a-z 0-9 _ -` have become `_`, an empty one is `_`, and what is beyond %d bytes is cut. "+
			"Two keys can share a token; `ce-subject` has the key itself.", len(events.Token(strings.Repeat("x", 1<<10))))},
		{"examples", []string{"2016042700826004508401111111"}},
	}},
	{"method", object{
		{"description", "Alipay's name of the message with `.` as `_`, sanitised as keys are."},
		{"examples", []string{"alipay_example_unheard_of"}},
	}},
	{"consumer", object{
		{"description", "The consumer's name, as its durable consumers are called: one token."},
		{"examples", []string{consumer}},
	}},
	{"entity", object{
		{"description", "The first half of the kind's name."},
		{"examples", []string{"voucher", "order", "other"}},
	}},
	{"reason", object{
		{"description", "Why it was not accepted, as one word."},
		{"examples", []string{"stale", "bad_signature"}},
	}},
	{"appIdOrUnknown", object{
		{"description", "A configured app, or `_unknown`."},
		{"examples", []string{"2021000000000001", "_unknown"}},
	}},
	{"appIdOrNone", object{
		{"description", "The app that the command concerned, or `_`."},
		{"examples", []string{"2021000000000001", "_"}},
	}},
	{"verb", object{{"description", "The command."}, {"examples", []string{"replay"}}}},
	{"job", object{{"description", "The name of the work."}, {"examples", []string{"20260102t150405-k5u2n7cwq3txm4zb"}}}},
	{"stream", object{{"description", "The consumer's stream."}, {"enum", []string{"ALIPAY_EVENTS", "ALIPAY_REPLAYS"}}}},
	{"durable", object{{"description", "The consumer."}, {"examples", []string{consumer}}}},
	{"action", object{
		{"description", "The second half of the kind's name; after `other` the method."},
		{"examples", []string{"created", "refunded"}},
	}},
}
