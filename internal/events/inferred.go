package events

import (
	"fmt"
	"strings"
	"time"
)

// InferredRoot begins the subjects of what was concluded and never said.
const InferredRoot = "alipay.inferred"

// Inferred is an event that reconciliation concludes: the state at Alipay proves
// that something happened, and no notification of it has come. There is no
// request behind it, and so neither proof nor fingerprint.
type Inferred struct {
	AppID string
	Kind  string    // entity.action of the catalogue
	Key   string    // verbatim
	State string    // what proves it, in words that are the same whenever it is concluded again
	At    time.Time // when it was concluded
	Data  []byte    // JSON by the kind's schema, as far as it is known
}

// ID is the ce-id, a function of type, key and state: the same conclusion has the
// same id, whoever draws it and when.
func (i Inferred) ID() string { return i.Kind + ":" + i.Key + ":" + i.State }

// MessageID is the Nats-Msg-Id.
func (i Inferred) MessageID() string { return "inferred:" + escape(i.ID()) }

// Subject is where the event is stored: alipay.inferred.<app_id>.<entity>.<action>.<key>.
func (i Inferred) Subject() string { return InferredSubject(i.AppID, i.Kind, i.Key) }

// InferredSubject is where what is concluded about a key is stored.
func InferredSubject(appID, kind, key string) string {
	return InferredRoot + strings.TrimPrefix(Subject(appID, kind, key), SubjectRoot)
}

// Header gives the event's headers. It fails for a kind that the catalogue does
// not know: nothing else can be concluded.
func (i Inferred) Header() (map[string]string, error) {
	kind, known := KindByName(i.Kind)
	if !known {
		return nil, fmt.Errorf("%q is no kind of event that can be concluded", i.Kind)
	}
	return map[string]string{
		HeaderSpecVersion: "1.0",
		HeaderID:          escape(i.ID()),
		HeaderSource:      Source(i.AppID) + inferredSource,
		HeaderType:        escape(kind.Method),
		HeaderSubject:     escape(i.Key),
		HeaderTime:        formatTime(i.At),
		HeaderContentType: "application/json",
		HeaderDataSchema:  kind.Schema(),
		HeaderMessageID:   i.MessageID(),
	}, nil
}
