package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/cli"
)

// sentRow is one notification in the output of send; -o json and ndjson make
// it a contract.
type sentRow struct {
	NotifyID   string       `json:"notify_id"` // empty where the type has none
	Type       string       `json:"type"`
	AppID      string       `json:"app_id"`
	Attempts   int          `json:"attempts"`
	Status     int          `json:"status"` // of the last attempt; 0 when no answer came
	Body       string       `json:"body"`
	Error      string       `json:"error,omitempty"`
	Outcome    string       `json:"outcome"` // acknowledged, given up or interrupted
	MS         float64      `json:"ms"`      // spent in deliveries, without the waits between them
	Deliveries []attemptRow `json:"deliveries"`
}

type attemptRow struct {
	At     string  `json:"at"`
	Status int     `json:"status"`
	Body   string  `json:"body"`
	Error  string  `json:"error,omitempty"`
	MS     float64 `json:"ms"`
}

func newRow(d delivered) sentRow {
	row := sentRow{
		NotifyID: d.notification.ID(),
		Type:     d.notification.Type(),
		AppID:    d.notification.AppID(),
		Attempts: len(d.result.Attempts),
		Outcome:  string(d.result.Outcome),
	}
	for _, a := range d.result.Attempts {
		row.Deliveries = append(row.Deliveries, attemptRow{
			At:     a.At.UTC().Format("2006-01-02T15:04:05.000Z"),
			Status: a.Status, Body: a.Body, Error: plainError(a.Err), MS: millis(a.Latency),
		})
		row.MS += millis(a.Latency)
	}
	row.MS = millis(time.Duration(row.MS * float64(time.Millisecond))) // rounded again
	last := d.result.Last()
	row.Status, row.Body, row.Error = last.Status, last.Body, plainError(last.Err)
	return row
}

func (r sentRow) cells() []string {
	status, body := "-", shorten(r.Body)
	if r.Status != 0 {
		status = strconv.Itoa(r.Status)
	}
	if r.Error != "" {
		body = shorten(r.Error)
	}
	id := r.NotifyID
	if id == "" {
		id = "-"
	}
	return []string{id, r.Type, strconv.Itoa(r.Attempts), status, body, r.Outcome,
		strconv.FormatFloat(r.MS, 'f', 1, 64)}
}

// millis is a duration in milliseconds with one place.
func millis(d time.Duration) float64 {
	return float64(d.Round(100*time.Microsecond)) / float64(time.Millisecond)
}

// shorten makes a reply fit for a table.
func shorten(s string) string {
	const most = 48
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// plainError leaves out the method and URL that net/http puts before what went
// wrong: they are the same in every row.
func plainError(err error) string {
	if err == nil {
		return ""
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return err.Error()
}

// summary counts what became of everything.
type summary struct {
	planned, ended                     int
	acknowledged, givenUp, interrupted int
	deliveries                         int
	took                               time.Duration
	lastFailure                        *alipaytest.Attempt
}

func (s *summary) add(d delivered) {
	s.ended++
	s.deliveries += len(d.result.Attempts)
	switch d.result.Outcome {
	case alipaytest.Acknowledged:
		s.acknowledged++
		return
	case alipaytest.Interrupted:
		s.interrupted++
	default:
		s.givenUp++
	}
	last := d.result.Last()
	s.lastFailure = &last
}

func (s *summary) String() string {
	text := fmt.Sprintf("%d of %d acknowledged", s.acknowledged, s.planned)
	if s.givenUp > 0 {
		text += fmt.Sprintf(", %d given up", s.givenUp)
	}
	if s.interrupted > 0 {
		text += fmt.Sprintf(", %d interrupted", s.interrupted)
	}
	if unsent := s.planned - s.ended; unsent > 0 {
		text += fmt.Sprintf(", %d not sent", unsent)
	}
	return text + fmt.Sprintf("; deliveries: %d in %s", s.deliveries, s.took.Round(time.Millisecond))
}

// err is nil when everything was acknowledged; else it is the summary, with
// the exit code and a hint.
func (s *summary) err(target string) error {
	switch {
	case s.acknowledged == s.planned:
		return nil
	case s.acknowledged > 0:
		return cli.Partlyf(s.hint(target), "%s", s)
	}
	return cli.Failedf(s.hint(target), "%s", s)
}

// hint is what to look at, going by the last notification that failed.
func (s *summary) hint(target string) string {
	switch f := s.lastFailure; {
	case s.givenUp == 0 || f == nil:
		return "" // interrupted: the operator knows
	case f.Status == 0:
		return "is the receiver running? " + target + " gave no answer"
	case f.Status == http.StatusUnauthorized:
		return "does the receiver know this app id and the public key beside --key, and say dev: true?"
	}
	return "the receiver's log says why"
}
