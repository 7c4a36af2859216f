package events

import (
	"fmt"
	"strings"
	"time"
)

// The spaces of what was not accepted, and the names of its headers. The
// payload of such a message is the request's body, byte for byte.
const (
	QuarantineRoot = "alipay.quarantine" // signed, but not accepted
	RejectsRoot    = "alipay.rejects"    // everything else

	HeaderKeptOutcome     = "Alipay-Outcome"
	HeaderKeptReason      = "Alipay-Reason"
	HeaderKeptDetail      = "Alipay-Detail"
	HeaderKeptSource      = "Alipay-Source"
	HeaderKeptPathApp     = "Alipay-Path-App"
	HeaderKeptContentType = "Alipay-Content-Type"
	HeaderKeptNotifyID    = "Alipay-Notify-Id"
	HeaderKeptType        = "Alipay-Type"
)

// UnknownApp stands in subjects for whatever names no configured app.
const UnknownApp = "_unknown"

// Kept is a request that was not accepted, kept whole, so that somebody can say
// why, and take it in after all.
type Kept struct {
	AppID       string // a configured app, or empty
	Outcome     string
	Reason      string // short constant
	Detail      string // what exactly; holds nothing of the request
	Source      string // address that it came from
	PathApp     string // app in the URL
	ContentType string
	ReceivedAt  time.Time
	Body        string

	// Only where the signature was proved:
	NotifyID    string
	Type        string
	Fingerprint string
	Proof       string
}

// Proved tells whether the signature was good: such a request is quarantined.
func (k Kept) Proved() bool { return k.Proof != "" }

// Subject is where the request is kept.
func (k Kept) Subject() string {
	root, app := RejectsRoot, k.AppID
	if k.Proved() {
		root = QuarantineRoot
	}
	if app == "" {
		app = UnknownApp
	}
	return root + "." + Token(app) + "." + Token(k.Reason)
}

// MessageID names a quarantined request, so that Alipay's retries of it are
// kept once. Rejects have none: nothing about them is sure.
func (k Kept) MessageID() string {
	if !k.Proved() {
		return ""
	}
	return k.AppID + ":" + k.NotifyID + ":" + k.Fingerprint
}

// maxKeptValue bounds a header value that a stranger chose.
const maxKeptValue = 512

// ClipKept cuts a value that a stranger chose to what is written of it, in memory
// of its own.
func ClipKept(s string) string { return strings.Clone(s[:min(len(s), maxKeptValue)]) }

// Header gives the message's headers.
func (k Kept) Header() map[string]string {
	h := make(map[string]string)
	put := func(name, value string) {
		if value != "" {
			h[name] = escape(value[:min(len(value), maxKeptValue)])
		}
	}
	put(HeaderKeptOutcome, k.Outcome)
	put(HeaderKeptReason, k.Reason)
	put(HeaderKeptDetail, k.Detail)
	put(HeaderKeptSource, k.Source)
	put(HeaderKeptPathApp, k.PathApp)
	put(HeaderKeptContentType, k.ContentType)
	put(HeaderKeptNotifyID, k.NotifyID)
	put(HeaderKeptType, k.Type)
	put(HeaderFingerprint, k.Fingerprint)
	put(HeaderReceivedTime, formatMillis(k.ReceivedAt))
	if k.Proof != "" {
		h[HeaderProof] = k.Proof
	}
	if id := k.MessageID(); id != "" {
		h[HeaderMessageID] = id
	}
	return h
}

// ParseKept reads a kept request back.
func ParseKept(get func(name string) string, body []byte) (Kept, error) {
	value := func(name string) string { return unescape(get(name)) }
	k := Kept{
		Outcome: value(HeaderKeptOutcome), Reason: value(HeaderKeptReason), Detail: value(HeaderKeptDetail),
		Source: value(HeaderKeptSource), PathApp: value(HeaderKeptPathApp), ContentType: value(HeaderKeptContentType),
		NotifyID: value(HeaderKeptNotifyID), Type: value(HeaderKeptType),
		Fingerprint: get(HeaderFingerprint), Proof: get(HeaderProof), Body: string(body),
	}
	var err error
	if k.ReceivedAt, err = time.Parse(time.RFC3339Nano, get(HeaderReceivedTime)); err != nil {
		return k, fmt.Errorf("%s: %w", HeaderReceivedTime, err)
	}
	return k, nil
}

// Kept reads a refused request back from the stream that keeps it. It is
// lenient as ParseHeader is: beside an error stands what could be read.
func (s Stored) Kept() (Kept, error) {
	k, err := ParseKept(s.first, s.Data)
	app, _, ok := keptSubject(s.Subject)
	switch {
	case !ok:
		where := fmt.Errorf("the subject is not %s or %s with an app and a reason", QuarantineRoot, RejectsRoot)
		if err != nil {
			where = fmt.Errorf("%w; %w", where, err)
		}
		return k, where
	case app != UnknownApp:
		k.AppID = app // digits, which Token leaves as they are
	}
	return k, err
}

// KeptApp is the app that a refused request's subject names: one of ours,
// UnknownApp, or nothing where the subject has none.
func (s Stored) KeptApp() string {
	app, _, _ := keptSubject(s.Subject)
	return app
}

// keptSubject takes the subject of a refused request apart.
func keptSubject(subject string) (app, reason string, ok bool) {
	for _, root := range []string{QuarantineRoot, RejectsRoot} {
		if rest, found := strings.CutPrefix(subject, root+"."); found {
			app, reason, ok = strings.Cut(rest, ".")
			return app, reason, ok && reason != "" && !strings.Contains(reason, ".")
		}
	}
	return "", "", false
}
