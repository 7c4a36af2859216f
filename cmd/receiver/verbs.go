package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/config"
	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/stream"
)

// loader reads the configuration that the flags name, when a verb asks for it.
type loader struct {
	file    *string
	environ []string
}

func (l loader) config() (config.Config, error) { return wire.Config(*l.file, l.environ) }

func configCommand(load loader) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the effective configuration, secrets masked",
		Long:  "Print the effective configuration: file, environment and defaults together, secrets masked. It prints even when the configuration cannot work, and then says why.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains([]string{"yaml", "json", "ndjson"}, format) {
				return cli.Usagef("receiver config -o json", "unknown format %q: want yaml, or json for one object", format)
			}
			cfg, err := load.config()
			text, printErr := cfg.YAML()
			if format != "yaml" {
				text, printErr = json.Marshal(cfg)
				text = append(text, '\n')
			}
			if printErr != nil {
				return printErr
			}
			if _, printErr = cmd.OutOrStdout().Write(text); printErr != nil {
				return printErr
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "yaml", "yaml, or json for one object")
	return cmd
}

func provisionCommand(load loader) *cobra.Command {
	var dry, shrink bool
	var format cli.Format
	cmd := &cobra.Command{
		Use:   "provision",
		Short: "Create or change the streams on the configured NATS servers",
		Example: `  receiver provision --dry-run    # what would be done
  receiver provision              # do it`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load.config()
			if err != nil {
				return err
			}
			if wire.Embedded(cfg) && !shrink {
				fmt.Fprintln(cmd.ErrOrStderr(), "nothing to do: without nats.url the receiver provisions its embedded server when it starts")
				return nil
			}
			client, err := wire.ConnectTool(cfg, "alipay-notify provision")
			if err != nil {
				return err
			}
			defer client.Close()
			return provision(cmd, client, wire.Layout(cfg), dry, shrink, format)
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would be done, and do nothing")
	cmd.Flags().BoolVar(&shrink, "shrink", false, "also make limits smaller, which drops what is stored beyond them")
	cli.AddFormat(cmd.Flags(), &format)
	return cmd
}

// provisionTimeout covers a cluster that places ten streams.
const provisionTimeout = time.Minute

func provision(cmd *cobra.Command, client *stream.Client, layout stream.Layout, dry, shrink bool, format cli.Format) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), provisionTimeout)
	defer cancel()
	changes, err := client.Plan(ctx, layout, 0)
	if err != nil {
		return cli.Failedf("receiver check", "%w", err)
	}
	type row struct {
		Stream      string   `json:"stream"`
		Action      string   `json:"action"`
		Differences []string `json:"differences"`
		Shrinks     []string `json:"shrinks"`
		Note        string   `json:"note,omitempty"`
	}
	out := cli.NewPrinter(cmd.OutOrStdout(), format, "STREAM", "ACTION", "DETAIL")
	var shrinks []string
	for _, c := range changes {
		r := row{Stream: c.Stream, Action: "none", Differences: []string{}, Shrinks: append([]string{}, c.Shrinks...), Note: c.Note}
		if c.Create {
			r.Action = "create"
		} else if c.Pending() {
			r.Action = "update"
		}
		for _, d := range c.Differences {
			r.Differences = append(r.Differences, d.String())
		}
		for _, s := range c.Shrinks {
			shrinks = append(shrinks, c.Stream+" "+s)
		}
		detail := strings.Join(r.Differences, "; ")
		if r.Note != "" {
			detail = r.Note
		}
		if err := out.Row(r, r.Stream, r.Action, detail); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	if dry {
		return nil
	}
	if len(shrinks) > 0 && !shrink {
		return cli.Declinedf("receiver provision --shrink    # drops what is stored beyond the new limits", "this would drop stored messages: %s", strings.Join(shrinks, "; "))
	}
	if err := client.Apply(ctx, changes); err != nil {
		return cli.Failedf("receiver provision --dry-run", "%w", err)
	}
	return nil
}

// finding is one line of check.
type finding struct {
	Check  string `json:"check"`
	State  string `json:"state"` // ok, warn or fail
	Detail string `json:"detail"`
	Try    string `json:"try,omitempty"`
}

func checkCommand(load loader) *cobra.Command {
	var format cli.Format
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check configuration, keys and connections; change nothing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load.config()
			if err != nil {
				return err
			}
			out := cli.NewPrinter(cmd.OutOrStdout(), format, "CHECK", "STATE", "DETAIL")
			failed := 0
			for _, f := range check(cmd.Context(), cfg) {
				if f.State == "fail" {
					failed++
				}
				detail := f.Detail
				if f.Try != "" {
					detail += "    Try: " + f.Try
				}
				if err := out.Row(f, f.Check, f.State, detail); err != nil {
					return err
				}
			}
			if err := out.Close(); err != nil {
				return err
			}
			if failed > 0 {
				return cli.Failedf("", "%d checks failed", failed)
			}
			return nil
		},
	}
	cli.AddFormat(cmd.Flags(), &format)
	return cmd
}

func check(ctx context.Context, cfg config.Config) []finding {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	findings := []finding{{Check: "configuration", State: "ok", Detail: fmt.Sprintf("%d apps", len(cfg.Apps))}}
	if cfg.Dev {
		findings = append(findings, finding{"configuration", "warn", "dev is true: development keys are trusted", "dev: false in production"})
	}
	findings = append(findings, checkKeys(cfg)...)
	findings = append(findings, checkRedis(ctx, cfg)...)
	return append(findings, checkNATS(ctx, cfg)...)
}

func checkKeys(cfg config.Config) []finding {
	keys, err := wire.LoadKeys(cfg)
	var all []finding
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			all = append(all, finding{"keys", "fail", line, "copy the Alipay public key (支付宝公钥) from the console"})
		}
		return all
	}
	for _, a := range keys.Apps {
		var ids []string
		for _, k := range a.Verifier.Keys() {
			ids = append(ids, k.ID)
		}
		all = append(all, finding{"keys", "ok", fmt.Sprintf("app %s: Alipay keys %s, %d AES keys, own key %t", a.ID, strings.Join(ids, " "), len(a.AESKeys), a.Gateway != nil), ""})
	}
	for _, c := range keys.Certs {
		left := time.Until(c.NotAfter)
		f := finding{"certificates", "ok", fmt.Sprintf("app %s: certificate %s is valid until %s", c.AppID, c.SN, c.NotAfter.Format(time.DateOnly)), ""}
		if left < certWarning {
			f.State, f.Try = "warn", "download alipayCertPublicKey_RSA2.crt from the console and put it beside the old one in alipay_certs"
		}
		all = append(all, f)
	}
	return all
}

func checkRedis(ctx context.Context, cfg config.Config) []finding {
	client, err := wire.OpenRedis(cfg)
	if err != nil {
		return []finding{{"redis", "fail", err.Error(), "redis.url and redis.ca"}}
	}
	if client == nil {
		return []finding{{"redis", "ok", "not configured: the stream's own window (26 h) does the dedupe", ""}}
	}
	defer client.Close() //nolint:errcheck // nothing is pending
	details, err := dedupe.Check(ctx, client)
	if err != nil {
		return []finding{{"redis", "fail", err.Error(), "start Redis, or correct redis.url"}}
	}
	all := []finding{{"redis", "ok", "reachable", ""}}
	for _, d := range details {
		if wrong, warned := strings.CutPrefix(d, "warning: "); warned {
			all = append(all, finding{"redis", "warn", wrong, ""})
		} else {
			all = append(all, finding{"redis", "ok", d, ""})
		}
	}
	return all
}

// embeddedRate is what one embedded server is meant for (DESIGN.md section 6).
const embeddedRate = 5.0

func checkNATS(ctx context.Context, cfg config.Config) []finding {
	client, err := wire.ConnectTool(cfg, "alipay-notify check")
	if err != nil && wire.Embedded(cfg) {
		return []finding{{"nats", "ok", "embedded; it starts with the receiver (" + err.Error() + ")", ""}}
	}
	if err != nil {
		return []finding{{"nats", "fail", err.Error(), "start NATS, or correct nats.url, nats.creds and nats.ca"}}
	}
	defer client.Close()
	diffs, err := client.Check(ctx, wire.Layout(cfg))
	if err != nil {
		return []finding{{"nats", "fail", err.Error(), "is JetStream on, and may this user use it?"}}
	}
	all := []finding{{"nats", "ok", "reachable at " + client.Server(), ""}}
	for _, d := range diffs {
		f := finding{"streams", "warn", d.String(), "receiver provision --dry-run"}
		if d.Fatal {
			f.State = "fail"
		}
		all = append(all, f)
	}
	if len(diffs) == 0 {
		all = append(all, finding{"streams", "ok", "as the layout says", ""})
	}
	return append(all, checkUsage(ctx, cfg, client)...)
}

func checkUsage(ctx context.Context, cfg config.Config, client *stream.Client) []finding {
	u, err := client.Usage(ctx)
	if err != nil {
		return nil // a missing stream is among the differences
	}
	var all []finding
	if u.MaxBytes > 0 && u.Bytes > uint64(u.MaxBytes)/10*8 {
		all = append(all, finding{"streams", "warn", fmt.Sprintf("%s is %d %% full; a full stream takes nothing new", stream.Events, u.Bytes*100/uint64(u.MaxBytes)), "raise nats.max_bytes, or lower nats.max_age"})
	}
	span := u.Last.Sub(u.First)
	if rate := float64(u.Messages) / max(span.Seconds(), 1); wire.Embedded(cfg) && span > time.Hour && rate > embeddedRate {
		all = append(all, finding{"nats", "warn", fmt.Sprintf("%.1f notifications a second on the embedded server, which is meant for some %.0f", rate, embeddedRate), "external servers: nats.url and redis.url"})
	}
	if cfg.NATS.Replicas < 3 && !wire.Embedded(cfg) {
		all = append(all, finding{"nats", "warn", "fewer than three replicas: without sync_always on the server, a power failure can lose what was acknowledged", "nats.replicas: 3"})
	}
	return all
}
