// Package stream is the adapter to NATS JetStream: the layout of our streams,
// connecting, the embedded server, publishing with an acknowledgement, and
// reading. It knows events, and nothing of HTTP, Redis or Alipay's signatures.
package stream

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The streams and buckets; DESIGN.md section 4 fixes them.
const (
	Events     = "ALIPAY_EVENTS"
	Replays    = "ALIPAY_REPLAYS"
	Inferred   = "ALIPAY_INFERRED"
	Quarantine = "ALIPAY_QUARANTINE"
	Rejects    = "ALIPAY_REJECTS"
	DLQ        = "ALIPAY_DLQ"
	Audit      = "ALIPAY_AUDIT"

	KeysBucket   = "ALIPAY_KEYS"
	JobsBucket   = "ALIPAY_JOBS"
	ExpectBucket = "ALIPAY_EXPECT"
)

// layoutVersion is what the streams' metadata says under "layout".
const layoutVersion = "1"

const (
	day = 24 * time.Hour
	mib = int64(1) << 20
	gib = int64(1) << 30

	// Alipay's last retry comes 24 h 22 min after the first delivery. Where
	// Redis remembers for longer, the stream's own window only has to cover the
	// crash windows between publish and commit.
	windowWithRedis = 30 * time.Minute
	windowAlone     = 26 * time.Hour

	// maxHeaders is what JetStream takes at the most as headers of one message.
	maxHeaders = 64 << 10
)

// LayoutOptions is what differs from one installation to another.
type LayoutOptions struct {
	Replicas int
	MaxAge   time.Duration // of ALIPAY_EVENTS
	MaxBytes int64         // of ALIPAY_EVENTS; 0: chosen when the stream is created, then left alone
	MaxBody  int           // the largest request, in bytes
	Redis    bool          // whether Redis dedupes
}

// MessageSize is the largest message that a request of the configured size can
// become: its headers, and a payload that transcoding has made longer.
func (o LayoutOptions) MessageSize() int { return maxHeaders + 2*o.MaxBody }

// Layout is what the streams have to be. It is the one place that defines them.
type Layout struct {
	options LayoutOptions
	streams []jetstream.StreamConfig
	buckets []jetstream.KeyValueConfig
}

// NewLayout gives the layout of an installation.
func NewLayout(o LayoutOptions) Layout {
	window := windowAlone
	if o.Redis {
		window = windowWithRedis
	}
	stream := func(name, description string, age time.Duration, bytes int64, discard jetstream.DiscardPolicy, subjects ...string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: name, Description: description, Subjects: subjects, Replicas: o.Replicas,
			Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: discard,
			MaxAge: age, MaxBytes: bytes, Duplicates: windowWithRedis,
			MaxMsgs: -1, MaxMsgsPerSubject: -1, MaxConsumers: -1, MaxMsgSize: -1,
			Metadata: map[string]string{"layout": layoutVersion},
		}
	}
	events := stream(Events, "Verified notifications, the archive", o.MaxAge, o.MaxBytes, jetstream.DiscardNew, "alipay.events.>")
	events.Duplicates = window
	events.DenyDelete, events.DenyPurge = true, true
	// Alipay repeats what we refuse for 24 h 22 min; it is kept once.
	quarantine := stream(Quarantine, "Signed, but not accepted", 30*day, gib, jetstream.DiscardNew, "alipay.quarantine.>")
	quarantine.Duplicates = windowAlone
	audit := stream(Audit, "A record before and after every writing command", 365*day, gib, jetstream.DiscardNew, "alipay.audit.>")
	audit.DenyDelete, audit.DenyPurge = true, true

	l := Layout{options: o, streams: []jetstream.StreamConfig{
		events,
		stream(Replays, "Events sent again to one consumer", 7*day, 4*gib, jetstream.DiscardOld, "alipay.replays.>"),
		stream(Inferred, "Events concluded by reconciliation", 30*day, gib, jetstream.DiscardOld, "alipay.inferred.>"),
		quarantine,
		stream(Rejects, "Neither proved nor accepted", 7*day, 64*mib, jetstream.DiscardOld, "alipay.rejects.>"),
		stream(DLQ, "Pointers to what consumers gave up", 30*day, 256*mib, jetstream.DiscardOld,
			"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES."+Events+".>",
			"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES."+Replays+".>",
			"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED."+Events+".>",
			"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED."+Replays+".>"),
		audit,
	}}
	bucket := func(name, description string) jetstream.KeyValueConfig {
		return jetstream.KeyValueConfig{
			Bucket: name, Description: description, History: 5, Storage: jetstream.FileStorage,
			Replicas: o.Replicas, MaxBytes: 64 * mib, Metadata: map[string]string{"layout": layoutVersion},
		}
	}
	l.buckets = []jetstream.KeyValueConfig{
		bucket(KeysBucket, "Public keys by id, for proofs after rotation"),
		bucket(JobsBucket, "Checkpoints of replays and cursors of reconciliations"),
		bucket(ExpectBucket, "Events that somebody expects"),
	}
	return l
}

// Window is for how long ALIPAY_EVENTS knows an event again by itself.
func (l Layout) Window() time.Duration { return l.streams[0].Duplicates }

// Names gives the names of all streams, those behind the buckets included.
func (l Layout) Names() []string {
	var names []string
	for _, s := range l.streams {
		names = append(names, s.Name)
	}
	for _, b := range l.buckets {
		names = append(names, "KV_"+b.Bucket)
	}
	return names
}
