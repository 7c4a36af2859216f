package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/events"
	"alipay-notify/internal/ingest"
	"alipay-notify/internal/verify"
)

// What is told in the examples happened, was sent, and was received at these times.
var (
	happened = time.Date(2026, 1, 2, 7, 4, 5, 64e6, time.UTC)
	sent     = happened.Add(1372 * time.Millisecond)
	received = sent.Add(58 * time.Millisecond)
)

// consumer is the consumer in examples and in deploy/nats/consumer.conf.
const consumer = "orders"

// example is one message as it is on a stream.
type example struct {
	name    string
	summary string
	subject string
	header  map[string]string
	payload json.RawMessage
}

// author makes examples: it plays Alipay, and asks the receiver's own decision
// function what becomes of it.
type author struct {
	key  *alipaytest.Key
	app  ingest.App
	kept *events.Kept // the last request that was not accepted
}

func newAuthor() (*author, error) {
	key, err := exampleKey()
	if err != nil {
		return nil, fmt.Errorf("key of the examples: %w", err)
	}
	public, err := verify.ParsePublicKey(key.PublicPEM())
	if err != nil {
		return nil, err
	}
	verifier, err := verify.New([]verify.PublicKey{public}, []verify.SignType{verify.RSA2})
	if err != nil {
		return nil, err
	}
	return &author{key: key, app: ingest.App{ID: alipaytest.DefaultAppID, Verifier: verifier}}, nil
}

// Quarantine keeps a signed request for the example of it.
func (a *author) Quarantine(_ context.Context, k events.Kept) error { a.kept = &k; return nil }

// Reject keeps any other request for the example of it.
func (a *author) Reject(k events.Kept) { a.kept = &k }

// pipeline is a receiver at some time, which is never asked to store anything.
func (a *author) pipeline(now time.Time) *ingest.Pipeline {
	return ingest.New(ingest.Options{
		Keeper: a, MaxSignedAge: 72 * time.Hour, Now: func() time.Time { return now },
	}, a.app)
}

// notification makes one of a type, the same every time, whatever else there is.
// An empty charset is the type's own.
func (a *author) notification(typ string, charset alipaytest.Charset) (*alipaytest.Notification, error) {
	seed := sha256.Sum256([]byte(typ))
	return alipaytest.New(typ, alipaytest.Options{
		Key: a.key, Time: happened, Charset: charset,
		Rand: rand.New(rand.NewPCG(binary.BigEndian.Uint64(seed[:8]), 0)), //nolint:gosec // examples are to come out the same
	})
}

// event is what a receiver makes of a notification. rewrite, where there is one,
// changes the body on its way in a manner that leaves the form the same.
func (a *author) event(n *alipaytest.Notification, rewrite func([]byte) []byte) (events.Event, error) {
	body, err := n.Body(sent)
	if err != nil {
		return events.Event{}, err
	}
	if rewrite != nil {
		body = rewrite(body)
	}
	return a.pipeline(received).Decide(ingest.Request{
		Body: string(body), Arrival: events.Arrival{ContentType: n.ContentType()}, ReceivedAt: received,
	}, new(ingest.Result))
}

// of makes the event of a type as Alipay sends it, changed first by edit, where
// there is one.
func (a *author) of(typ string, edit func(*alipaytest.Notification)) (events.Event, error) {
	n, err := a.notification(typ, "")
	if err != nil {
		return events.Event{}, err
	}
	if edit != nil {
		edit(n)
	}
	return a.event(n, nil)
}

// stored is the example that an event makes on ALIPAY_EVENTS.
func stored(e events.Event, name, summary string) (example, error) {
	header, err := e.Header()
	return example{name: name, summary: summary, subject: e.Subject, header: header, payload: e.Data}, err
}

// replayed is a stored example as an operator sends it again to one consumer.
// It follows the contract by hand (DESIGN.md section 3).
func replayed(x example) example {
	const job, sequence = "20260103t081500-k5u2n7cwq3txm4zb", 88310
	x.name, x.summary = "replayed", "The same, sent again to the consumer "+consumer+" alone"
	x.subject = replaySubject(consumer, x.subject)
	x.header = maps.Clone(x.header)
	x.header[events.HeaderReplayJob] = job
	x.header[events.HeaderReplayOf] = strconv.Itoa(sequence)
	x.header[events.HeaderReplayReason] = "INC-1204:%20the%20consumer%20lost%20its%20store"
	x.header[events.HeaderMessageID] = "replay:" + job + ":" + strconv.Itoa(sequence)
	return x
}

func replaySubject(consumer, subject string) string {
	return "alipay.replays." + consumer + subject[len(events.SubjectRoot):]
}

// inferred is what reconciliation concludes when Alipay's state shows what the
// example stored tells, and no event did. It follows the contract by hand
// (DESIGN.md section 3).
func inferred(stored example) (example, error) {
	var data struct {
		ActivityID string `json:"activity_id"`
		OutBizNo   string `json:"out_biz_no"`
	}
	if err := json.Unmarshal(stored.payload, &data); err != nil {
		return example{}, err
	}
	payload, err := encode(data)
	id := "voucher.stopped:" + data.ActivityID + ":FINISHED"
	x := example{
		name: "concluded", summary: "The activity is FINISHED at Alipay, and no event said so",
		subject: "alipay.inferred" + stored.subject[len(events.SubjectRoot):],
		header:  make(map[string]string), payload: payload,
	}
	for _, h := range inferredHeaders {
		x.header[h.name] = stored.header[h.name]
	}
	x.header[events.HeaderID] = id
	x.header[events.HeaderSource] += "/inferred"
	x.header[events.HeaderTime] = received.Add(26 * time.Hour).Truncate(time.Second).Format(time.RFC3339)
	x.header[events.HeaderMessageID] = "inferred:" + id
	return x, err
}

// refused makes an example of what is signed and not accepted, and one of the rest.
func (a *author) refused() (map[string]example, error) {
	n, err := a.notification("voucher.created", "")
	if err != nil {
		return nil, err
	}
	body, err := n.Body(sent)
	if err != nil {
		return nil, err
	}
	later := received.Add(96 * time.Hour)
	stale, err := a.refuse(body, n.ContentType(), later, "stale", "An old capture, posted again after four days")
	if err != nil {
		return nil, err
	}
	forged, err := a.refuse(bytes.Replace(body, []byte("ORDERSEND_"), []byte("ORDERSEND-"), 1), n.ContentType(), received,
		"forged", "One byte is not what was signed")
	return map[string]example{"quarantine": stale, "rejects": forged}, err
}

func (a *author) refuse(body []byte, contentType string, at time.Time, name, summary string) (example, error) {
	a.kept = nil
	a.pipeline(at).Ingest(context.Background(), ingest.Request{
		Body: string(body), Arrival: events.Arrival{ContentType: contentType}, Source: "203.0.113.7", ReceivedAt: at,
	})
	if a.kept == nil {
		return example{}, errors.New("the example of a refused request was not refused")
	}
	payload, err := encode(a.kept.Body)
	return example{name: name, summary: summary, subject: a.kept.Subject(), header: a.kept.Header(), payload: payload}, err
}
