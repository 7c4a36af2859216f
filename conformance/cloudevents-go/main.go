// Command check reads a whole stream and tells whether every message of it is a
// CloudEvent: NATS protocol binding, binary mode, by the official Go SDK. Each
// message becomes one line of JSON on stdout. The first that is none ends the
// run with exit code 1; 2 is wrong usage.
//
//	check --nats URL [--token-file F] [--stream ALIPAY_EVENTS]
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// limit is how long a run may take: a stream that goes silent is a failure.
const limit = time.Minute

func main() {
	url := flag.String("nats", "", "URL of the NATS server")
	token := flag.String("token-file", "", "file with the server's token")
	stream := flag.String("stream", "ALIPAY_EVENTS", "stream that is read")
	flag.Parse()
	if *url == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	n, err := run(*url, *token, *stream, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", strings.Join(strings.Fields(err.Error()), " ")) // the SDK's errors have lines
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "%d messages of %s are valid CloudEvents\n", n, *stream)
}

// run connects, checks, and gives the number of messages.
func run(url, tokenFile, name string, out io.Writer) (int, error) {
	var options []nats.Option
	if tokenFile != "" {
		token, err := os.ReadFile(tokenFile)
		if err != nil {
			return 0, err
		}
		options = append(options, nats.Token(strings.TrimSpace(string(token))))
	}
	nc, err := nats.Connect(url, options...)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", name, err)
	}
	return check(ctx, stream, json.NewEncoder(out))
}

// check reads the stream up to what was its last message when it began.
func check(ctx context.Context, stream jetstream.Stream, out *json.Encoder) (n int, err error) {
	info := stream.CachedInfo()
	if info.State.Msgs == 0 {
		return 0, fmt.Errorf("%s holds no message, so nothing was checked", info.Config.Name)
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return 0, err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return 0, err
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return n, fmt.Errorf("read %s: %w", info.Config.Name, err)
		}
		at, err := msg.Metadata()
		if err != nil {
			return n, err
		}
		e, err := decode(msg.Headers(), msg.Data())
		if err != nil {
			return n, fmt.Errorf("%s %d: %w", info.Config.Name, at.Sequence.Stream, err)
		}
		if err := out.Encode(lineOf(at.Sequence.Stream, e)); err != nil {
			return n, err
		}
		n++
		if at.Sequence.Stream >= info.State.LastSeq || at.NumPending == 0 {
			return n, nil
		}
	}
}
