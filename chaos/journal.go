package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"os"
	"sync"
	"time"
)

// attempt is one delivery, as it was seen from between sender and receiver.
type attempt struct {
	Begin, End time.Time
	Receiver   string
	Status     int // that the receiver answered; 0: nothing whole came back
	Answer     string
	Lost       bool     // it did answer, and the sender did not hear it
	Body       [32]byte // SHA-256 of what was sent
}

// success tells whether the receiver acknowledged, heard or not.
func (a attempt) success() bool { return a.Status == 200 && a.Answer == "success" }

// record is everything about one notification. It is safe for concurrent use.
type record struct {
	id, kind string

	mu       sync.Mutex
	attempts []attempt
	given    int // deliveries that were given up: the schedule was at its end
}

// journal keeps what was sent and answered. It is the sender's, and knows
// nothing of receivers, streams or keys. It is safe for concurrent use.
type journal struct {
	mu      sync.Mutex
	records []*record
	file    *os.File
	out     *bufio.Writer
}

func newJournal(path string) (*journal, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &journal{file: f, out: bufio.NewWriter(f)}, nil
}

// open begins a record.
func (j *journal) open(id, kind string) *record {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := &record{id: id, kind: kind}
	j.records = append(j.records, r)
	return r
}

// note adds an attempt.
func (j *journal) note(r *record, a attempt) {
	r.mu.Lock()
	r.attempts = append(r.attempts, a)
	r.mu.Unlock()
	line, err := json.Marshal(map[string]any{
		"id": r.id, "kind": r.kind, "begin": a.Begin, "ms": a.End.Sub(a.Begin).Milliseconds(),
		"receiver": a.Receiver, "status": a.Status, "answer": a.Answer, "lost": a.Lost,
	})
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil && j.out != nil {
		_, _ = j.out.Write(append(line, '\n')) // the journal in memory is the one that counts
	}
}

// all are the records; nothing changes in them any more once the sender is done.
func (j *journal) all() []*record {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]*record{}, j.records...)
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.out.Flush(); err != nil {
		return err
	}
	j.out = nil
	return j.file.Close()
}

func hashOf(body []byte) [32]byte { return sha256.Sum256(body) }
