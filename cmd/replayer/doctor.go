package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/config"
	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/events"
	"alipay-notify/internal/stream"
)

// doctorFlags are the flags of doctor.
type doctorFlags struct {
	deep    bool
	strict  bool
	monitor []string
	format  cli.Format
}

func doctorCommand(a *archive) *cobra.Command {
	var o doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check everything that the product stands on; change nothing",
		Long: `Check the configuration, keys and certificates, Redis (reachable, role, version,
eviction policy, clock), NATS (reachable, layout, replicas, syncing, space), how
long a duplicate is recognized, and what consumers gave up. Each finding says what
is wrong, why it matters and what to do.

--deep also asks ` + stream.Events + ` whether it would take an event right now: it
publishes on a condition that cannot hold, so that nothing is stored.

Whether a NATS server syncs before it acknowledges can be seen on its monitoring
port alone: --monitor names it, once for each server.

Exit code 0: nothing failed; warnings do not count without --strict. 1: something
failed. 2: the configuration cannot be read.

-o json prints an array, -o ndjson one object a line, of: check, state (ok, warn or
fail), detail, and why and try where there is something to say.`,
		Example: `  replayer doctor
  replayer doctor --deep --strict -o json                # for monitoring
  replayer doctor --monitor http://nats-1:8222
  replayer doctor -o json | jq -r '.[] | select(.state != "ok") | .detail'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := wire.Config(a.file, a.environ)
			if err != nil {
				broken := []wire.Finding{{Check: "configuration", State: wire.Fail, Detail: "it cannot work; stderr says why", Why: "a receiver does not start with it"}}
				if _, _, printErr := printFindings(cmd, o.format, broken); printErr != nil {
					return printErr
				}
				return err
			}
			failed, warned, err := printFindings(cmd, o.format, examine(cmd.Context(), cfg, o))
			switch {
			case err != nil:
				return err
			case failed > 0:
				return cli.Failedf("", "%d checks failed, %d warn", failed, warned)
			case warned > 0 && o.strict:
				return cli.Failedf("", "%d checks warn, which --strict takes for failures", warned)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&o.deep, "deep", false, "also ask the stream whether it would take an event; stores nothing")
	cmd.Flags().BoolVar(&o.strict, "strict", false, "exit 1 for warnings, too")
	cmd.Flags().StringArrayVar(&o.monitor, "monitor", nil, "the monitoring `URL` of a NATS server, such as http://nats-1:8222")
	cli.AddFormat(cmd.Flags(), &o.format)
	completeFixed(cmd, "output", formats...)
	return cmd
}

// printFindings prints objects as everywhere, and for people each finding with
// its reason and advice on lines of their own.
func printFindings(cmd *cobra.Command, format cli.Format, all []wire.Finding) (failed, warned int, err error) {
	if format != cli.Table {
		return wire.PrintFindings(cli.NewPrinter(cmd.OutOrStdout(), format), all)
	}
	var b bytes.Buffer
	for _, f := range all {
		switch f.State {
		case wire.Fail:
			failed++
		case wire.Warn:
			warned++
		case wire.OK:
		}
		fmt.Fprintf(&b, "%-4s  %-13s  %s\n", f.State, f.Check, cli.Clean(f.Detail))
		if f.Why != "" {
			fmt.Fprintf(&b, "      %-13s  why: %s\n", "", cli.Clean(f.Why))
		}
		if f.Try != "" {
			fmt.Fprintf(&b, "      %-13s  try: %s\n", "", cli.Clean(f.Try))
		}
	}
	return failed, warned, writeAll(cmd.OutOrStdout(), b.Bytes())
}

// doctorTimeout bounds all of it: a server that hangs is a finding.
const doctorTimeout = 45 * time.Second

func examine(ctx context.Context, cfg config.Config, o doctorFlags) []wire.Finding {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	all := slices.Concat(wire.CheckConfig(cfg), wire.CheckKeys(cfg), wire.CheckRedis(ctx, cfg, checkClock))
	client, nats := wire.CheckNATS(ctx, cfg, "alipay-notify replayer doctor")
	all = append(all, nats...)
	synced, findings := checkSync(ctx, o.monitor)
	all = slices.Concat(all, findings, wire.CheckDurability(cfg, synced))
	if client == nil {
		if wire.Embedded(cfg) {
			f := &all[slices.IndexFunc(all, func(f wire.Finding) bool { return f.Check == "nats" })]
			f.State, f.Why, f.Try = wire.Fail, "no receiver is running here: nothing is taken, and nothing more can be checked", "systemctl status alipay-notify"
		}
		if o.deep {
			all = append(all, wire.Finding{Check: "publish", State: wire.Fail, Detail: "there is no server to ask", Why: "nothing can be stored", Try: checkFirst})
		}
		return all
	}
	defer client.Close()
	all = slices.Concat(all, checkArchive(ctx, cfg, client), checkSpace(ctx, cfg, client), checkLetters(ctx, client), checkTrail(ctx, client))
	if o.deep {
		all = append(all, probe(ctx, client))
	}
	return all
}

// clockLimit is how far two clocks may be apart before it is spoken of.
const clockLimit = 2 * time.Second

func checkClock(ctx context.Context, client redis.UniversalClient) []wire.Finding {
	ahead, within, known, err := dedupe.Clock(ctx, client)
	f := wire.Finding{Check: "clock", State: wire.OK, Detail: fmt.Sprintf("that of Redis is %v from this machine's, to within %v", ahead.Round(time.Millisecond), within.Round(time.Microsecond))}
	switch {
	case err != nil:
		f.State, f.Detail = wire.Warn, "that of Redis cannot be read: "+err.Error()
	case !known:
		f.State, f.Detail = wire.Warn, "that of Redis cannot be seen: this user may not ask TIME"
		f.Try = "let the ACL user run TIME"
	case ahead.Abs() > clockLimit+within:
		f.State = wire.Warn
		f.Why = "one of the two is wrong: max_signed_age and certificates go by the receiver's clock, and a Redis that is restarted or fails over forgets by its own"
		f.Try = "NTP on both"
	}
	return []wire.Finding{f}
}

// retrySpan is how long after its first delivery Alipay sends a notification for
// the last time (PROTOCOL.md 1.4).
const retrySpan = 24*time.Hour + 22*time.Minute

// checkArchive looks at what the archive is besides its layout: for how long it
// knows a duplicate, who leads it, and who follows.
func checkArchive(ctx context.Context, cfg config.Config, client *stream.Client) []wire.Finding {
	archive, err := client.Overview(ctx, stream.Events, time.Now())
	if err != nil {
		return []wire.Finding{{Check: "streams", State: wire.Fail, Detail: err.Error(), Try: checkFirst}}
	}
	if archive.Missing {
		return nil // among the differences
	}
	all := []wire.Finding{checkHorizon(cfg, archive.Window)}
	if len(archive.Behind) > 0 {
		all = append(all, wire.Finding{Check: "replicas", State: wire.Warn, Detail: fmt.Sprintf("of %s, %d of %d are away or behind: %v", stream.Events, len(archive.Behind), archive.Replicas, archive.Behind),
			Why: "with one more the stream takes nothing", Try: "nats stream info " + stream.Events + "    # and the servers that it names"})
	}
	if archive.Absent > 0 {
		all = append(all, wire.Finding{Check: "gaps", State: wire.Warn, Detail: fmt.Sprintf("%d sequences of %s hold nothing", archive.Absent, stream.Events),
			Why: "nobody may remove anything from the archive", Try: "replayer streams    # says which"})
	}
	for _, c := range archive.Consumers {
		if !c.Durable || c.Lag == 0 || c.Paused {
			continue
		}
		if waits := time.Since(oldestUnread(ctx, client, c)); waits > quietLimit {
			all = append(all, wire.Finding{Check: "consumers", State: wire.Warn, Detail: fmt.Sprintf("%s is %d events behind, and the first of them waits for %s", c.Name, c.Lag, age(int64(waits.Seconds()))),
				Why: fmt.Sprintf("what it has not read within %v is gone", archive.MaxAge), Try: "is it running? the runbook: A consumer was down"})
		}
	}
	return all
}

// quietLimit is how long an event may wait for a consumer.
const quietLimit = 15 * time.Minute

// oldestUnread is when the first event was stored that a consumer has not been
// given, or now where that cannot be seen.
func oldestUnread(ctx context.Context, client *stream.Client, c stream.Consumer) time.Time {
	oldest := time.Now()
	filters := c.Filters
	if len(filters) == 0 {
		filters = []string{">"}
	}
	for _, filter := range filters {
		err := client.Under(ctx, c.Stream, filter, c.Delivered+1, func(m events.Stored) error {
			if m.StoredAt.Before(oldest) {
				oldest = m.StoredAt
			}
			return errEnough
		})
		if err != nil && !errors.Is(err, errEnough) {
			return time.Now()
		}
	}
	return oldest
}

func checkHorizon(cfg config.Config, window time.Duration) wire.Finding {
	f := wire.Finding{Check: "dedupe", State: wire.OK}
	horizon := window
	if cfg.Redis.URL != "" {
		horizon = cfg.Redis.Retention
		f.Detail = fmt.Sprintf("Redis knows a notification again for %v, the stream alone for %v; Alipay repeats for %v", horizon, window, retrySpan)
	} else {
		f.Detail = fmt.Sprintf("the stream knows a notification again for %v; Alipay repeats for %v", window, retrySpan)
	}
	if horizon < retrySpan {
		f.State, f.Why = wire.Fail, "a late retry becomes a second event"
		f.Try = "receiver provision --dry-run"
	}
	return f
}

// checkTrail looks for writing verbs that began and never said how they ended.
func checkTrail(ctx context.Context, client *stream.Client) []wire.Finding {
	unfinished, err := countUnfinished(ctx, client)
	switch {
	case err != nil:
		return []wire.Finding{{Check: "audit", State: wire.Warn, Detail: "it cannot be read: " + err.Error()}}
	case unfinished > 0:
		return []wire.Finding{{Check: "audit", State: wire.Warn, Detail: fmt.Sprintf("%d runs of the last 7 days have no record of their end", unfinished),
			Why: "any part of what they planned may be done", Try: "replayer audit --unfinished --since 7d"}}
	}
	return []wire.Finding{{Check: "audit", State: wire.OK, Detail: "every run of the last 7 days says how it ended"}}
}

func probe(ctx context.Context, client *stream.Client) wire.Finding {
	began := time.Now()
	err := client.Probe(ctx)
	if err == nil {
		return wire.Finding{Check: "publish", State: wire.OK, Detail: fmt.Sprintf("%s would take an event, as it said within %v; nothing was stored", stream.Events, time.Since(began).Round(time.Millisecond))}
	}
	f := wire.Finding{Check: "publish", State: wire.Fail, Detail: err.Error(), Why: "every notification is answered 503, and Alipay repeats it for 24 h 22 min", Try: "the runbook: AlipayNotifyUnavailable"}
	if try, no := wire.Denied(err, "replayer"); no {
		f.State, f.Why, f.Try = wire.Warn, "it cannot be tried with this user", try
	}
	return f
}
