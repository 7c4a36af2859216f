package server

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"alipay-notify/internal/ingest"
)

// Metrics are the receiver's numbers. Every label has a bounded set of values:
// outcomes, configured apps, configured keys, catalogue kinds.
type Metrics struct {
	registry *prometheus.Registry

	notifications *prometheus.CounterVec
	seconds       *prometheus.HistogramVec
	decide        prometheus.Histogram
	store         prometheus.Histogram
	inFlight      prometheus.Gauge
	verified      *prometheus.CounterVec
	events        *prometheus.CounterVec
	conflicts     prometheus.Counter
	decodeErrors  prometheus.Counter
	unasked       prometheus.Counter
	unknownPaths  prometheus.Counter
	notPlain      prometheus.Counter

	dedupeErrors *prometheus.CounterVec
	nats         *prometheus.CounterVec
	differences  *prometheus.GaugeVec
	streamBytes  prometheus.Gauge
	streamLimit  prometheus.Gauge
	certificates *prometheus.GaugeVec
	reloads      *prometheus.CounterVec
	kept         *prometheus.CounterVec
	keysStale    prometheus.Gauge

	rows    atomic.Pointer[map[labels]*row]
	growing sync.Mutex // of rows
}

// labels are all labels of one result.
type labels struct {
	outcome                ingest.Outcome
	app, keyID, rule, kind string
}

// row is the numbers of one set of labels: finding each of them by its own labels is
// 0.1 us, and every notification needs four.
type row struct {
	notifications prometheus.Counter
	seconds       prometheus.Observer
	verified      prometheus.Counter // nil: not proved
	events        prometheus.Counter // nil: not stored
}

// NewMetrics makes the numbers and a registry of their own, so that two
// receivers fit into one process.
func NewMetrics(version string, ready func() bool) *Metrics {
	const ns = "alipay_notify"
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Name: name, Help: help})
	}
	buckets := prometheus.ExponentialBuckets(0.00005, 2.5, 14) // 50 us to 7.5 s
	histogram := func(name, help string) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Namespace: ns, Name: name, Help: help, Buckets: buckets}
	}
	m := &Metrics{
		registry:      prometheus.NewRegistry(),
		notifications: counter("notifications_total", "Requests by outcome and app.", "outcome", "app_id"),
		seconds:       prometheus.NewHistogramVec(histogram("request_seconds", "Time from the headers to the reply, by outcome."), []string{"outcome"}),
		decide:        prometheus.NewHistogram(histogram("decide_seconds", "Time to parse, verify, decrypt and type.")),
		store:         prometheus.NewHistogram(histogram("store_seconds", "Time to claim, publish and commit.")),
		inFlight:      gauge("in_flight", "Requests at work, their body read."),
		verified:      counter("verified_total", "Proved requests by app, key and signing rule.", "app_id", "key_id", "rule"),
		events:        counter("events_total", "Events stored, by kind.", "kind"),
		conflicts:     prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Name: "conflicts_total", Help: "Ids that came again with other content."}),
		decodeErrors:  prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Name: "decode_errors_total", Help: "Events with ce-decodeerror: known kinds that could not be typed, and bytes invalid in their charset."}),
		unasked:       prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Name: "dedupe_unasked_total", Help: "Events stored without asking Redis."}),
		unknownPaths:  prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Name: "unknown_paths_total", Help: "Requests to another path than http.path, answered 404: strangers, or a URL that was registered wrong."}),
		notPlain:      prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Name: "not_plain_requests_total", Help: "Requests that net/http read, because they did not come whole or said something unusual. A proxy that speaks HTTP/1.0 or closes its connections sends no others, and each costs more."}),
		dedupeErrors:  counter("dedupe_errors_total", "Failed steps of the dedupe protocol.", "op"),
		nats:          counter("nats_connection_events_total", "Changes of the NATS connection.", "event"),
		differences: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: ns, Name: "layout_differences", Help: "Differences between the streams and the layout.",
		}, []string{"fatal"}),
		streamBytes: gauge("stream_bytes", "Size of ALIPAY_EVENTS."),
		streamLimit: gauge("stream_max_bytes", "Limit of ALIPAY_EVENTS; 0 without one."),
		certificates: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: ns, Name: "certificate_not_after_seconds", Help: "When Alipay's certificates end, Unix time.",
		}, []string{"app_id", "sn"}),
		keysStale: gauge("keys_stale", "1 while changed keys could not be loaded and the old ones are in use."),
		kept:      counter("kept_total", "Requests that were not accepted: kept, or why not.", "result"),
		reloads:   counter("key_reloads_total", "Reloads of the keys, by result.", "result"),
	}
	m.registry.MustRegister(
		m.notifications, m.seconds, m.decide, m.store, m.inFlight, m.verified, m.events, m.conflicts, m.decodeErrors,
		m.unasked, m.unknownPaths, m.notPlain, m.dedupeErrors, m.nats, m.differences, m.streamBytes, m.streamLimit, m.certificates, m.reloads, m.kept, m.keysStale,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: ns, Name: "ready", Help: "1 when the receiver takes notifications."}, func() float64 {
			if ready() {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: ns, Name: "build_info", Help: "Always 1.", ConstLabels: prometheus.Labels{"version": version},
		}, func() float64 { return 1 }),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.rows.Store(&map[labels]*row{})
	m.begin()
	return m
}

// begin makes the counters of what is known here, as Foresee does.
func (m *Metrics) begin() {
	for _, o := range ingest.Outcomes() {
		m.seconds.WithLabelValues(string(o))
	}
	for _, result := range []string{"done", "failed"} {
		m.reloads.WithLabelValues(result)
	}
}

// Foresee makes the counters of what may go wrong, so that an alert on a rate sees
// the first time, too: operations of the dedupe protocol, and what becomes of what
// was not accepted.
func (m *Metrics) Foresee(dedupe, kept []string) {
	for _, op := range dedupe {
		m.dedupeErrors.WithLabelValues(op)
	}
	for _, result := range kept {
		m.kept.WithLabelValues(result)
	}
}

// unknownApp is the label of what names no configured app.
const unknownApp = "_unknown"

func (m *Metrics) observe(r ingest.Result, took time.Duration) {
	app := r.AppID
	if app == "" {
		app = unknownApp
	}
	of := labels{outcome: r.Outcome, app: app}
	if r.Match.KeyID != "" {
		of.keyID, of.rule = r.Match.KeyID, r.Match.Rule.String()
	}
	if r.Outcome == ingest.Accepted {
		of.kind = kindLabel(r.Kind)
	}
	row := m.row(of)
	row.notifications.Inc()
	row.seconds.Observe(took.Seconds())
	if r.Decide > 0 {
		m.decide.Observe(r.Decide.Seconds())
	}
	if r.Store > 0 {
		m.store.Observe(r.Store.Seconds())
	}
	if row.verified != nil {
		row.verified.Inc()
	}
	if row.events == nil {
		return
	}
	row.events.Inc()
	if r.Conflict {
		m.conflicts.Inc()
	}
	if r.DecodeError != "" {
		m.decodeErrors.Inc()
	}
	if r.Unasked {
		m.unasked.Inc()
	}
}

// row finds the numbers of a set of labels. The rows are bounded as the series are:
// by the outcomes, and by configured apps with the keys, rules and kinds that came.
func (m *Metrics) row(of labels) *row {
	if r := (*m.rows.Load())[of]; r != nil {
		return r
	}
	m.growing.Lock()
	defer m.growing.Unlock()
	if r := (*m.rows.Load())[of]; r != nil {
		return r // somebody was quicker
	}
	r := &row{
		notifications: m.notifications.WithLabelValues(string(of.outcome), of.app),
		seconds:       m.seconds.WithLabelValues(string(of.outcome)),
	}
	if of.keyID != "" {
		r.verified = m.verified.WithLabelValues(of.app, of.keyID, of.rule)
	}
	if of.kind != "" {
		r.events = m.events.WithLabelValues(of.kind)
	}
	rows := maps.Clone(*m.rows.Load())
	rows[of] = r
	m.rows.Store(&rows)
	return r
}

// DedupeError counts a failed step of the dedupe protocol.
func (m *Metrics) DedupeError(op string) { m.dedupeErrors.WithLabelValues(op).Inc() }

// Connection counts a change of the NATS connection.
func (m *Metrics) Connection(event string) { m.nats.WithLabelValues(event).Inc() }

// Layout sets the numbers of differences between the streams and the layout.
func (m *Metrics) Layout(fatal, other int) {
	m.differences.WithLabelValues("true").Set(float64(fatal))
	m.differences.WithLabelValues("false").Set(float64(other))
}

// Stream sets the size and the limit of ALIPAY_EVENTS in bytes.
func (m *Metrics) Stream(bytes uint64, limit int64) {
	m.streamBytes.Set(float64(bytes))
	m.streamLimit.Set(float64(max(limit, 0)))
}

// Certificates replaces the dates at which Alipay's certificates end. set is
// called with a function that takes one certificate each.
func (m *Metrics) Certificates(set func(add func(appID, sn string, notAfter time.Time))) {
	m.certificates.Reset()
	set(func(appID, sn string, notAfter time.Time) {
		m.certificates.WithLabelValues(appID, sn).Set(float64(notAfter.Unix()))
	})
}

// Reloaded counts a reload of the keys.
func (m *Metrics) Reloaded(ok bool) {
	result, stale := "failed", 1.0
	if ok {
		result, stale = "done", 0
	}
	m.keysStale.Set(stale)
	m.reloads.WithLabelValues(result).Inc()
}

// Kept counts a request that was not accepted, by what became of it.
func (m *Metrics) Kept(result string) { m.kept.WithLabelValues(result).Inc() }
