package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// RememberKey keeps a public key in ALIPAY_KEYS under its id, so that a proof
// can be checked long after the key was rotated out of the configuration. What
// is there already stays: an id is a hash of its key.
//
// It publishes to the bucket's subject instead of asking the library to create
// the key: that would read the key first, and a receiver needs no right to read.
func (c *Client) RememberKey(ctx context.Context, id string, record []byte) error {
	_, err := c.js.PublishMsg(ctx, &nats.Msg{Subject: "$KV." + KeysBucket + "." + id, Data: record},
		jetstream.WithExpectLastSequencePerSubject(0))
	if api, ok := errors.AsType[*jetstream.APIError](err); ok &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store key %s: %w", id, classify(err))
	}
	return nil
}

// ErrUnknownKey means that ALIPAY_KEYS has no key of an id.
var ErrUnknownKey = errors.New("no such key is remembered")

// RememberedKey gives what RememberKey has kept.
func (c *Client) RememberedKey(ctx context.Context, id string) ([]byte, error) {
	bucket, err := c.js.KeyValue(ctx, KeysBucket)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", KeysBucket, err)
	}
	entry, err := bucket.Get(ctx, id)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, ErrUnknownKey
	}
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", id, err)
	}
	return entry.Value(), nil
}
