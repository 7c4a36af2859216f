package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/audit"
	"alipay-notify/internal/config"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

// monitorTimeout bounds one question to a monitoring port.
const monitorTimeout = 3 * time.Second

// checkSync asks the servers whether they sync before they acknowledge. synced is
// nil where it cannot be said of all of them.
func checkSync(ctx context.Context, urls []string) (synced *bool, findings []wire.Finding) {
	all := true
	for _, url := range urls {
		yes, err := askSync(ctx, url)
		if err != nil {
			findings = append(findings, wire.Finding{Check: "durability", State: wire.Warn, Detail: err.Error(), Try: "the server's http port, which is for monitoring: --monitor http://HOST:8222"})
			continue
		}
		all = all && yes
	}
	if len(urls) == 0 || len(findings) > 0 {
		return nil, findings
	}
	return &all, nil
}

func askSync(ctx context.Context, url string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, monitorTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/varz", nil)
	if err != nil {
		return false, fmt.Errorf("--monitor %q is no URL", url)
	}
	transport := &http.Transport{DisableKeepAlives: true} // one question, and no proxy
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return false, fmt.Errorf("the monitoring port does not answer: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	var varz struct {
		JetStream struct {
			Config *struct {
				SyncAlways bool `json:"sync_always"`
			} `json:"config"`
		} `json:"jetstream"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 8<<20)).Decode(&varz); err != nil || varz.JetStream.Config == nil {
		return false, fmt.Errorf("%s/varz answers %s, and is not that of a NATS server with JetStream", url, res.Status)
	}
	return varz.JetStream.Config.SyncAlways, nil
}

// checkSpace looks at the streams beside the archive that refuse what is new when
// they are full, and at what all of them live on.
func checkSpace(ctx context.Context, cfg config.Config, client *stream.Client) []wire.Finding {
	var all []wire.Finding
	for _, s := range []struct{ name, why string }{
		{stream.Quarantine, "a full one keeps nothing new of what was signed and refused"},
		{stream.Audit, "without the record before it no writing command does anything"},
	} {
		u, err := client.UsageOf(ctx, s.name)
		if err == nil && u.Percent() > wire.Full {
			all = append(all, wire.Finding{Check: "space", State: wire.Warn, Detail: fmt.Sprintf("%s is %d %% full", s.name, u.Percent()), Why: s.why, Try: "replayer streams"})
		}
	}
	events, err := client.Usage(ctx)
	if err != nil {
		return all
	}
	to := uint64(max(0, events.MaxBytes)) // what the archive may still grow by
	to -= min(to, events.Bytes)
	if wire.Embedded(cfg) {
		return append(all, checkDisk(cfg.NATS.Embedded.Dir, to)...)
	}
	used, limit, err := client.Account(ctx)
	switch {
	case err != nil:
		return append(all, wire.Finding{Check: "space", State: wire.Warn, Detail: "what the account may store cannot be seen: " + err.Error()})
	case limit == 0:
		return append(all, wire.Finding{Check: "space", State: wire.OK, Detail: fmt.Sprintf("the account uses %s, and has no limit of its own", formatBytes(used))})
	}
	f := wire.Finding{Check: "space", State: wire.OK, Detail: fmt.Sprintf("the account uses %s of %s", formatBytes(used), formatBytes(limit))}
	if limit-min(limit, used) < to {
		f.State, f.Why = wire.Warn, fmt.Sprintf("%s may still grow by %s: the account would be full before it", stream.Events, formatBytes(to))
		f.Try = "more max_file for the account, or less nats.max_bytes"
	}
	return append(all, f)
}

func checkDisk(dir string, to uint64) []wire.Finding {
	bytes, err := stream.FreeDisk(dir)
	if err != nil {
		return []wire.Finding{{Check: "space", State: wire.Warn, Detail: err.Error(), Try: "run it on the receiver's machine"}}
	}
	free := uint64(max(0, bytes))
	f := wire.Finding{Check: "space", State: wire.OK, Detail: fmt.Sprintf("%s are free where the embedded server keeps its data", formatBytes(free))}
	if free < to {
		f.State, f.Why = wire.Warn, fmt.Sprintf("%s may still grow by %s: the disk would be full before it, and the receiver would stop", stream.Events, formatBytes(to))
		f.Try = "free some disk, or less nats.max_bytes"
	}
	return []wire.Finding{f}
}

// checkLetters looks at what consumers gave up.
func checkLetters(ctx context.Context, client *stream.Client) []wire.Finding {
	rows, err := lettersByConsumer(ctx, client)
	if err != nil {
		return []wire.Finding{{Check: "dead_letters", State: wire.Warn, Detail: "they cannot be seen: " + err.Error(), Try: "replayer dlq compare"}}
	}
	var all []wire.Finding
	waiting := 0
	for _, r := range rows {
		waiting += r.Pointers + r.Terminated
		if r.Gap > 0 {
			all = append(all, wire.Finding{Check: "dead_letters", State: wire.Warn, Detail: fmt.Sprintf("%s of %s gave up %d messages to which nothing points", r.Consumer, r.Stream, r.Gap),
				Why: "an advisory was lost: nobody is told of these", Try: r.try()})
		}
	}
	if waiting > 0 {
		all = append(all, wire.Finding{Check: "dead_letters", State: wire.Warn, Detail: fmt.Sprintf("%d wait for somebody", waiting),
			Why: "consumers have given these events up, and miss them", Try: "replayer dlq list"})
	}
	if all == nil {
		all = []wire.Finding{{Check: "dead_letters", State: wire.OK, Detail: "none, and none is missing"}}
	}
	return all
}

// stillAtWork is for how long a run without an end may just be at work.
const stillAtWork = 10 * time.Minute

func countUnfinished(ctx context.Context, client *stream.Client) (int, error) {
	passes, _, err := readTrail(ctx, client, replay.Selection{Since: time.Now().Add(-7 * 24 * time.Hour)}, "")
	n := 0
	for _, p := range passes {
		began, parseErr := time.Parse(time.RFC3339, p.Began)
		if p.Status() == audit.StatusUnfinished && (parseErr != nil || time.Since(began) > stillAtWork) {
			n++
		}
	}
	return n, err
}
