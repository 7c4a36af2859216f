package main

import (
	"encoding/json"
)

// This file holds the parts of the AsyncAPI document that say nothing of events:
// servers, and the subjects that operators read.

var servers = object{
	{"embedded", object{
		{"host", "127.0.0.1:4222"},
		{"protocol", "nats"},
		{"title", "The receiver's own server"},
		{"description", "Without `nats.url` the receiver runs a NATS server in its own process, on loopback (`nats.embedded.listen`)."},
		{"security", []object{ref("components", "securitySchemes", "token")}},
	}},
	{"external", object{
		{"host", "{host}"},
		{"protocol", "nats"},
		{"title", "NATS servers of your own"},
		{"description", "What `nats.url` names. As in `deploy/nats` each consumer has an account of its own and finds the JetStream API under the prefix `ALIPAY.API`; its durable consumers are made for it. Use TLS."},
		{"variables", object{{"host", object{
			{"description", "Host and port of any server of the cluster."},
			{"default", "nats.example.com:4222"},
		}}}},
		{"security", []object{ref("components", "securitySchemes", "creds"), ref("components", "securitySchemes", "password")}},
	}},
}

var securitySchemes = object{
	{"token", object{
		{"type", "apiKey"}, {"in", "password"},
		{"description", "The NATS token in the file `<nats.embedded.dir>/token` (mode 0600), made on the first start."},
	}},
	{"creds", object{
		{"type", "asymmetricEncryption"},
		{"description", "A NATS credentials file: a JWT and the key with which the client signs the server's challenge."},
	}},
	{"password", object{
		{"type", "userPassword"},
		{"description", "A user of the consumer's account and its password."},
	}},
}

// tags are in the order in which somebody new should read them.
var tags = []object{
	{{"name", "voucher"}, {"description", "Voucher activities (支付券, 商家券) and the vouchers of users."}},
	{{"name", "order"}, {"description", "Orders of exchange vouchers (商家兑换券)."}},
	{{"name", "card"}, {"description", "Membership cards (会员卡)."}},
	{{"name", "trade"}, {"description", "Trades, by the classic notify_url. A reason to query, and no proof of payment."}},
	{{"name", "account"}, {"description", "生活号 accounts."}},
	{{"name", "other"}, {"description", "Messages without a kind in v1; their data is as it came."}},
	{{"name", "replays"}, {"description", "Events sent again to one consumer."}},
	{{"name", "inferred"}, {"description", "What was concluded and never said. Consumers opt in."}},
	{{"name", "operators"}, {"description", "No events: for those who run the receiver. A consumer may not read them."}},
}

// operatorChannels are the other subjects of the streams' layout.
func operatorChannels(refused map[string]example) ([]channel, error) {
	audit, err := auditMessage()
	if err != nil {
		return nil, err
	}
	operators := func(c channel) channel {
		c.tag = "operators"
		return c
	}
	all := []channel{
		operators(channel{
			id: "quarantine", address: "alipay.quarantine.{appId}.{reason}", stream: "ALIPAY_QUARANTINE",
			title: "Signed and not accepted", description: "Requests whose signature is good and that are no event all the same: ambiguous, stale, undecryptable and others. An operator can release one.",
			params: []string{"appId", "reason"}, messages: []member{{"quarantined", keptMessage("quarantined", "A signed request that was not accepted", refused["quarantine"])}},
		}),
		operators(channel{
			id: "rejects", address: "alipay.rejects.{appIdOrUnknown}.{reason}", stream: "ALIPAY_REJECTS",
			title: "Neither proved nor accepted", description: "Every other request that was not accepted, as far as there is room.",
			params: []string{"appIdOrUnknown", "reason"}, messages: []member{{"rejected", keptMessage("rejected", "A request that was not accepted", refused["rejects"])}},
		}),
		operators(channel{
			id: "audit", address: "alipay.audit.{appIdOrNone}.{verb}.{job}", stream: "ALIPAY_AUDIT",
			title: "What operators did", description: "A record before and after every writing command.",
			params: []string{"appIdOrNone", "verb", "job"}, messages: []member{{"audit.record", audit}},
		}),
	}
	for _, d := range []struct{ id, word, title string }{
		{"dlq.max_deliveries", "MAX_DELIVERIES", "A consumer was given an event as often as it may, and never acknowledged it"},
		{"dlq.terminated", "MSG_TERMINATED", "A consumer said of an event that it never will handle it"},
	} {
		x, err := advisory(d.word)
		if err != nil {
			return nil, err
		}
		all = append(all, operators(channel{
			id: d.id, address: "$JS.EVENT.ADVISORY.CONSUMER." + d.word + ".{stream}.{durable}", stream: "ALIPAY_DLQ",
			title: d.title, description: "NATS's own advisory: a pointer to the event, which is still in its stream.",
			params: []string{"stream", "durable"}, messages: []member{{d.id, object{
				{"name", d.id}, {"title", d.title}, {"contentType", "application/json"},
				{"payload", advisorySchema}, {"examples", exampleObjects([]example{x})},
			}}},
		}))
	}
	return all, nil
}

func keptMessage(name, title string, x example) object {
	return object{
		{"name", name},
		{"title", title},
		{"contentType", "application/x-www-form-urlencoded"},
		{"headers", headerSchema(keptHeaders, seen(x))},
		{"payload", object{{"type", "string"}, {"description", "The request's body, byte for byte: whatever was sent, which need be no form."}}},
		{"examples", exampleObjects([]example{x})},
	}
}

// auditMessage takes schema and examples from the schema file.
func auditMessage() (object, error) {
	schema, err := loadSchema("audit.record")
	if err != nil {
		return nil, err
	}
	var payloads []json.RawMessage
	if err := schema.get("examples", &payloads); err != nil {
		return nil, err
	}
	var examples []example
	for _, p := range payloads {
		var record struct{ App, Verb, Phase, Job string }
		if err := json.Unmarshal(p, &record); err != nil {
			return nil, err
		}
		examples = append(examples, example{
			name: record.Phase, summary: "A record", payload: p,
			subject: "alipay.audit." + record.App + "." + record.Verb + "." + record.Job,
		})
	}
	return object{
		{"name", "audit.record"},
		{"title", "Audit record"},
		{"contentType", "application/json"},
		{"payload", append(schema, member{"x-schema-id", "urn:alipay-notify:schema:audit.record:v1"})},
		{"examples", exampleObjects(examples)},
	}, nil
}

// advisorySchema is what both of NATS's advisories have; a test reads the
// examples with the server's own types.
var advisorySchema = object{
	{"type", "object"},
	{"required", []string{"type", "id", "timestamp", "stream", "consumer", "stream_seq", "deliveries"}},
	{"properties", object{
		{"type", object{{"type", "string"}, {"description", "NATS's name of the advisory."}}},
		{"id", object{{"type", "string"}}},
		{"timestamp", object{{"type", "string"}, {"format", "date-time"}}},
		{"stream", object{{"type", "string"}}},
		{"consumer", object{{"type", "string"}}},
		{"stream_seq", object{{"type", "integer"}, {"description", "The sequence of the event in the stream."}}},
		{"consumer_seq", object{{"type", "integer"}}},
		{"deliveries", object{{"type", "integer"}}},
		{"reason", object{{"type", "string"}, {"description", "What the consumer said, where it said something."}}},
		{"domain", object{{"type", "string"}}},
	}},
}

func advisory(word string) (example, error) {
	kind, own := "io.nats.jetstream.advisory.v1.max_deliver", object{{"stream_seq", 88310}, {"deliveries", 10}}
	if word == "MSG_TERMINATED" {
		kind = "io.nats.jetstream.advisory.v1.terminated"
		own = object{{"consumer_seq", 412}, {"stream_seq", 88310}, {"deliveries", 1}, {"reason", "no such activity here"}}
	}
	payload, err := encode(append(object{
		{"type", kind}, {"id", "XNGG9IXHAL4UAOVGO5BV8A"}, {"timestamp", received}, {"stream", "ALIPAY_EVENTS"}, {"consumer", consumer},
	}, own...))
	return example{
		name: "advisory", summary: "As the server writes it", payload: payload,
		subject: "$JS.EVENT.ADVISORY.CONSUMER." + word + ".ALIPAY_EVENTS." + consumer,
	}, err
}
