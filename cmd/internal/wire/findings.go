package wire

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/config"
	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/stream"
)

// Finding is what a check found. The names are a contract.
type Finding struct {
	Check  string `json:"check"`         // what was looked at: keys, redis, ...
	State  State  `json:"state"`         // ok, warn or fail
	Detail string `json:"detail"`        // what it is, or what is wrong with it
	Why    string `json:"why,omitempty"` // why that matters
	Try    string `json:"try,omitempty"` // what to do about it
}

// State is how bad a finding is.
type State string

// The states.
const (
	OK   State = "ok"
	Warn State = "warn" // nothing is lost today
	Fail State = "fail" // something does not work, or could be lost
)

// FindingsHead is the head of the table of findings.
var FindingsHead = []string{"CHECK", "STATE", "DETAIL"}

// Cells are the row of a table.
func (f Finding) Cells() []string {
	detail := f.Detail
	if f.Why != "" {
		detail += ": " + f.Why
	}
	if f.Try != "" {
		detail += "    Try: " + f.Try
	}
	return []string{f.Check, string(f.State), detail}
}

// PrintFindings prints one row a finding, and counts those that failed and
// those that warn.
func PrintFindings(out *cli.Printer, all []Finding) (failed, warned int, err error) {
	for _, f := range all {
		switch f.State {
		case Fail:
			failed++
		case Warn:
			warned++
		case OK:
		}
		if err := out.Row(f, f.Cells()...); err != nil {
			return failed, warned, err
		}
	}
	return failed, warned, out.Close()
}

// CertWarning is how long before its end a certificate is spoken of: Alipay
// issues the next one then (PROTOCOL.md 3.3).
const CertWarning = 30 * 24 * time.Hour

// CheckConfig says what the configuration is for.
func CheckConfig(cfg config.Config) []Finding {
	all := []Finding{{Check: "configuration", State: OK, Detail: fmt.Sprintf("%d apps", len(cfg.Apps))}}
	if cfg.Dev {
		all = append(all, Finding{"configuration", Warn, "dev is true", "development keys are trusted, and everybody has their private half", "dev: false in production"})
	}
	return all
}

// CheckKeys loads the keys of all apps.
func CheckKeys(cfg config.Config) []Finding {
	keys, err := LoadKeys(cfg)
	var all []Finding
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			all = append(all, Finding{"keys", Fail, line, "a receiver does not start with it, and one that runs goes on with its old keys",
				"copy the Alipay public key (支付宝公钥) from the console"})
		}
		return all
	}
	for _, a := range keys.Apps {
		var ids []string
		for _, k := range a.Verifier.Keys() {
			ids = append(ids, k.ID)
		}
		all = append(all, Finding{Check: "keys", State: OK,
			Detail: fmt.Sprintf("app %s: Alipay keys %s, %d AES keys, own key %t", a.ID, strings.Join(ids, " "), len(a.AESKeys), a.Gateway != nil)})
	}
	for _, c := range keys.Certs {
		f := Finding{Check: "certificates", State: OK,
			Detail: fmt.Sprintf("app %s: certificate %s is valid until %s", c.AppID, c.SN, c.NotAfter.Format(time.DateOnly))}
		if time.Until(c.NotAfter) < CertWarning {
			f.State = Warn
			f.Why = "the renewed one may have another key, whose notifications would be refused"
			f.Try = "download alipayCertPublicKey_RSA2.crt from the console and put it beside the old one in alipay_certs"
		}
		all = append(all, f)
	}
	return all
}

// CheckRedis asks the configured Redis. more looks at what it is given besides,
// once it answers; nil is nothing.
func CheckRedis(ctx context.Context, cfg config.Config, more func(context.Context, redis.UniversalClient) []Finding) []Finding {
	client, err := OpenRedis(cfg)
	if err != nil {
		return []Finding{{"redis", Fail, err.Error(), "", "redis.url and redis.ca"}}
	}
	if client == nil {
		return []Finding{{Check: "redis", State: OK, Detail: "not configured: the stream's own window (26 h) does the dedupe"}}
	}
	defer client.Close() //nolint:errcheck // nothing is pending
	details, err := dedupe.Check(ctx, client)
	if err != nil {
		why := "what Alipay repeats later than the stream's window becomes a second event"
		if dedupe.Policy(cfg.Redis.OnUnavailable) == dedupe.Refuse {
			why = refusesAll
		}
		return []Finding{{"redis", Fail, err.Error(), why, "start Redis, or correct redis.url"}}
	}
	all := []Finding{{Check: "redis", State: OK, Detail: "reachable"}}
	for _, d := range details {
		f := Finding{Check: "redis", State: OK, Detail: d}
		if wrong, warned := strings.CutPrefix(d, "warning: "); warned {
			f = Finding{"redis", Warn, wrong, "", ""}
			f.Why, f.Try = redisAdvice(wrong)
			if strings.HasPrefix(d, dedupe.NoClaims) && dedupe.Policy(cfg.Redis.OnUnavailable) == dedupe.Refuse {
				f.State, f.Why = Fail, refusesAll
			}
		}
		all = append(all, f)
	}
	if more != nil {
		all = append(all, more(ctx, client)...)
	}
	return all
}

const refusesAll = "redis.on_unavailable is refuse: every notification is answered 503"

// redisAdvice says why a warning of dedupe.Check matters, and what to do.
func redisAdvice(warning string) (why, try string) {
	switch {
	case strings.Contains(warning, "maxmemory-policy"):
		return "what is evicted is forgotten, and a retry of it becomes a second event", "an instance of its own with maxmemory-policy noeviction"
	case strings.Contains(warning, "claims are refused"):
		return "nothing would be remembered, and what Alipay repeats after the stream's window becomes a second event",
			"NOPERM: let the ACL user run EVAL, EVALSHA, GET, SET and DEL on alipay:dedupe:*; READONLY: redis.url of the master, or Sentinel; OOM: more maxmemory"
	case strings.Contains(warning, "role is"):
		return "a replica takes no claims", "redis.url of the master, or Sentinel"
	case strings.Contains(warning, "older than"):
		return "it is not tested with this one", "Redis 6 or newer, or Valkey"
	}
	return "", ""
}

// CheckNATS asks the servers and compares the streams. The client is the
// caller's to close, and nil where there is none.
func CheckNATS(ctx context.Context, cfg config.Config, name string) (*stream.Client, []Finding) {
	client, err := ConnectTool(cfg, name)
	if err != nil && Embedded(cfg) {
		return nil, []Finding{{Check: "nats", State: OK, Detail: "embedded; it starts with the receiver (" + err.Error() + ")"}}
	}
	if err != nil {
		return nil, []Finding{{"nats", Fail, err.Error(), "nothing can be stored: every notification is answered 503", "start NATS, or correct nats.url, nats.creds and nats.ca"}}
	}
	diffs, err := client.Check(ctx, Layout(cfg))
	if err != nil {
		return client, []Finding{{"nats", Fail, err.Error(), "", "is JetStream on, and may this user use it?"}}
	}
	all := []Finding{{Check: "nats", State: OK, Detail: "reachable at " + client.Server()}}
	for _, d := range diffs {
		f := Finding{"streams", Warn, d.String(), "it is not what the receiver was tested with", "receiver provision --dry-run"}
		if d.Fatal {
			f.State, f.Why = Fail, "something acknowledged could be lost: no receiver publishes to it"
		}
		all = append(all, f)
	}
	if len(diffs) == 0 {
		all = append(all, Finding{Check: "streams", State: OK, Detail: "as the layout says"})
	}
	return client, append(all, checkUsage(ctx, cfg, client)...)
}

const (
	// embeddedRate is what one embedded server is meant for (DESIGN.md section 6).
	embeddedRate = 5.0
	// Full is the share of max_bytes, in percent, at which a ticket comes, and
	// nearlyFull that at which somebody is woken.
	Full, nearlyFull = 80, 95
)

func checkUsage(ctx context.Context, cfg config.Config, client *stream.Client) []Finding {
	u, err := client.Usage(ctx)
	if err != nil {
		return nil // a missing stream is among the differences
	}
	var all []Finding
	if u.Percent() > Full {
		f := Finding{"streams", Warn, fmt.Sprintf("%s is %d %% full", stream.Events, u.Percent()),
			"a full stream takes nothing new", "raise nats.max_bytes, or lower nats.max_age (the runbook: The stream is full)"}
		if u.Percent() >= nearlyFull {
			f.State = Fail
		}
		all = append(all, f)
	}
	span := u.Last.Sub(u.First)
	if rate := float64(u.Messages) / max(span.Seconds(), 1); Embedded(cfg) && span > time.Hour && rate > embeddedRate {
		all = append(all, Finding{"nats", Warn, fmt.Sprintf("%.1f notifications a second on the embedded server", rate),
			fmt.Sprintf("it is meant for some %.0f", embeddedRate), "external servers: nats.url and redis.url"})
	}
	return all
}

// CheckDurability says what a power failure can do. synced is what the server
// says of sync_always, or nil where it cannot be seen, as from any client.
func CheckDurability(cfg config.Config, synced *bool) []Finding {
	const why = "a power failure can lose what was acknowledged"
	switch {
	case Embedded(cfg):
		return []Finding{{Check: "durability", State: OK, Detail: "the embedded server syncs each event before it is acknowledged"}}
	case synced != nil && *synced:
		return []Finding{{Check: "durability", State: OK, Detail: "sync_always: each event is on the disk before it is acknowledged"}}
	case cfg.NATS.Replicas >= 3:
		return []Finding{{Check: "durability", State: OK, Detail: fmt.Sprintf("%d replicas have an event before it is acknowledged", cfg.NATS.Replicas)}}
	case synced != nil:
		return []Finding{{"durability", Warn, "fewer than three replicas, and the server does not sync before it acknowledges", why, "jetstream { sync_interval: always } in the server's configuration, or nats.replicas: 3"}}
	}
	return []Finding{{"durability", Warn, "fewer than three replicas, and sync_always cannot be seen from here", "without it " + why,
		"replayer doctor --monitor http://HOST:8222, which asks the server; or nats.replicas: 3"}}
}

// Denied tells whether err is that the NATS user may not do what it was asked
// for, and gives what to do about it.
func Denied(err error, user string) (try string, denied bool) {
	if !errors.Is(err, stream.ErrDenied) {
		return "", false
	}
	return "the same as the NATS user " + user + " (deploy/nats/" + user + ".conf): ALIPAY_NOTIFY_NATS__URL with its name and password, or ALIPAY_NOTIFY_NATS__CREDS", true
}
