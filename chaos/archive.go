package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// event is a message of ALIPAY_EVENTS as the checker sees it.
type event struct {
	Seq     uint64
	At      time.Time // when the stream stored it
	ID      string    // ce-id
	Unasked bool      // Redis was not asked
	Body    [32]byte  // SHA-256 of the request that it was made of
}

// readEvents reads the whole stream, message by message, with nothing of ours.
func (c *cluster) readEvents(ctx context.Context) ([]event, error) {
	s, err := c.js.Stream(ctx, eventStream)
	if err != nil {
		return nil, err
	}
	info, err := s.Info(ctx)
	if err != nil {
		return nil, err
	}
	var all []event
	for seq := max(info.State.FirstSeq, 1); seq <= info.State.LastSeq; seq++ {
		var m *jetstream.RawStreamMsg
		err := await(ctx, patience, fmt.Sprintf("message %d is read", seq), func(ctx context.Context) bool {
			var err error
			m, err = s.GetMsg(ctx, seq)
			return err == nil || errors.Is(err, jetstream.ErrMsgNotFound)
		})
		if err != nil {
			return nil, err
		}
		if m == nil {
			continue // a gap: what is missing there, the checker will see
		}
		e, err := eventOf(m)
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", seq, err)
		}
		all = append(all, e)
	}
	return all, nil
}

func eventOf(m *jetstream.RawStreamMsg) (event, error) {
	field := func(name string) string { // CloudEvents headers are lower case, and NATS keeps case
		if v := m.Header[name]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	raw := []byte(field("Alipay-Raw"))
	switch encoding := field("Alipay-Raw-Encoding"); encoding {
	case "":
	case "base64":
		var err error
		if raw, err = base64.StdEncoding.DecodeString(string(raw)); err != nil {
			return event{}, err
		}
	default:
		return event{}, fmt.Errorf("Alipay-Raw-Encoding %q: our requests are small", encoding)
	}
	return event{Seq: m.Sequence, At: m.Time, ID: field("ce-id"), Unasked: field("ce-dedupe") == "stream", Body: hashOf(raw)}, nil
}

// change changes the configuration of the stream, and waits until that is so.
func (c *cluster) change(ctx context.Context, how func(*jetstream.StreamConfig)) error {
	return await(ctx, patience, "the stream's configuration is changed", func(ctx context.Context) bool {
		info, err := c.info(ctx)
		if err != nil {
			return false
		}
		how(&info.Config)
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_, err = c.js.UpdateStream(ctx, info.Config)
		return err == nil
	})
}

// endWindow makes the stream forget the message ids that it knows, as it does by
// itself half an hour later. The server looks at what is outside of the window
// that it had before an update.
func (c *cluster) endWindow(ctx context.Context) error {
	var usual time.Duration
	for _, window := range []time.Duration{100 * time.Millisecond, 101 * time.Millisecond, 0} {
		err := c.change(ctx, func(s *jetstream.StreamConfig) {
			if usual == 0 {
				usual = s.Duplicates
			}
			if s.Duplicates = window; window == 0 {
				s.Duplicates = usual
			}
		})
		if err != nil {
			return err
		}
		pass(ctx, 200*time.Millisecond)
	}
	return nil
}

// limit lets the stream take no more than it has, or, with more, that much.
func (c *cluster) limit(ctx context.Context, more int64) error {
	return c.change(ctx, func(s *jetstream.StreamConfig) {
		if s.MaxBytes = more; more == 0 {
			info, err := c.info(ctx)
			if s.MaxBytes = 1; err == nil {
				s.MaxBytes = int64(max(info.State.Bytes, 1))
			}
		}
	})
}

// life is one incarnation of the stream, as it was in the end.
type life struct {
	events []event
	ended  time.Time // when it was certainly gone; zero for the one that is there
}

// endLife deletes the stream. What it held is lost to the operator, and that is
// his to answer for; so that everything else can be checked, the harness reads it
// before. To read all of it, the stream is first closed by its limit: what the
// receivers acknowledge after that is not new.
func (c *cluster) endLife(ctx context.Context) (life, error) {
	if err := c.limit(ctx, 0); err != nil {
		return life{}, err
	}
	pass(ctx, 2500*time.Millisecond) // longer than a receiver waits for an ack
	events, err := c.readEvents(ctx)
	if err != nil {
		return life{}, err
	}
	err = await(ctx, patience, "the stream is deleted", func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		err := c.js.DeleteStream(ctx, eventStream)
		return err == nil || errors.Is(err, jetstream.ErrStreamNotFound)
	})
	return life{events: events, ended: time.Now()}, err
}

// backup is a snapshot of the stream as the server gives it to nats stream backup.
type backup struct {
	Config json.RawMessage `json:"config"`
	State  json.RawMessage `json:"state"`
	chunks [][]byte
}

type apiError struct {
	Error *struct {
		Description string `json:"description"`
	} `json:"error"`
}

// api asks JetStream, and gives what it said.
func (c *cluster) api(ctx context.Context, subject string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	m, err := c.nc.RequestWithContext(ctx, "$JS.API."+subject, body)
	if err != nil {
		return err
	}
	var failed apiError
	if err := json.Unmarshal(m.Data, &failed); err != nil {
		return err
	}
	if failed.Error != nil {
		return fmt.Errorf("%s: %s", subject, failed.Error.Description)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(m.Data, answer)
}

// save takes a backup.
func (c *cluster) save(ctx context.Context) (*backup, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	inbox := c.nc.NewInbox()
	chunks, err := c.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer chunks.Unsubscribe() //nolint:errcheck // the connection is ours alone
	b := &backup{}
	if err := c.api(ctx, "STREAM.SNAPSHOT."+eventStream, map[string]any{"deliver_subject": inbox, "no_consumers": true}, b); err != nil {
		return nil, err
	}
	for {
		m, err := chunks.NextMsgWithContext(ctx)
		switch {
		case err != nil:
			return nil, err
		case len(m.Data) == 0 && m.Header.Get("Status") != "" && !strings.HasPrefix(m.Header.Get("Status"), "2"):
			return nil, fmt.Errorf("the backup ended: %s", m.Header.Get("Description"))
		case len(m.Data) == 0:
			return b, nil
		}
		b.chunks = append(b.chunks, m.Data)
		if m.Reply != "" {
			if err := m.Respond(nil); err != nil {
				return nil, err
			}
		}
	}
}

// restore brings a backup back; there must be no such stream.
func (c *cluster) restore(ctx context.Context, b *backup) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var to struct {
		Subject string `json:"deliver_subject"`
	}
	if err := c.api(ctx, "STREAM.RESTORE."+eventStream, b, &to); err != nil {
		return err
	}
	var last *nats.Msg
	for _, chunk := range append(b.chunks, nil) { // an empty one is the end
		var failed error
		err := await(ctx, patience, "the restore is listened to", func(ctx context.Context) bool {
			last, failed = c.nc.RequestWithContext(ctx, to.Subject, chunk)
			return !errors.Is(failed, nats.ErrNoResponders) // our node has not heard of it yet
		})
		if err := errors.Join(err, failed); err != nil {
			return err
		}
		var said apiError
		if len(last.Data) > 0 && json.Unmarshal(last.Data, &said) == nil && said.Error != nil {
			return fmt.Errorf("restore: %s", said.Error.Description)
		}
	}
	return nil
}
