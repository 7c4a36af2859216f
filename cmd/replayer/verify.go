package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/events"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
	"alipay-notify/internal/verify"
)

func verifyCommand(a *archive) *cobra.Command {
	var values flagValues
	var format cli.Format
	var all bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the signatures of stored events again",
		Long: `Check the signature of stored events again: the original request, the string that
its proof says was signed, and the key that the proof names, from the
configuration or else from ` + stream.KeysBucket + `. The event is then made of the
request once more and compared with the stored one, because a signature says
nothing of what stands beside the request.

Exit code 0: all fit. 4: some do not, or nothing can be said of them; the first
are named on stderr. 1: it could not be done.` + verifyRowHelp,
		Example: `  replayer verify                            # the whole archive
  replayer verify --since 30d -o json
  replayer verify --seq 1042 --all -o ndjson`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			selection, err := values.selection(cmd)
			if err != nil {
				return err
			}
			cfg, keys, err := wire.ReceiverConfig(a.file, a.environ)
			if err != nil {
				return err
			}
			client, err := wire.ConnectTool(cfg, "alipay-notify replayer verify")
			if err != nil {
				return err
			}
			defer client.Close()
			v := &verification{cmd: cmd, client: client, out: &verifyPrinter{w: cmd.OutOrStdout(), format: format, all: all}}
			return v.run(selection, replay.NewChecker(verifyApps(keys), rememberedKeys(client)))
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "also a row for every event, not only the summary")
	return selectingCommand(cmd, &values, &format)
}

func verifyApps(keys wire.Keys) map[string]replay.VerifyApp {
	apps := make(map[string]replay.VerifyApp)
	for _, a := range keys.Apps {
		apps[a.ID] = replay.VerifyApp{Keys: a.Verifier.Keys(), AESKeys: a.AESKeys}
	}
	return apps
}

// rememberedKeys finds keys that were rotated out of the configuration.
func rememberedKeys(client *stream.Client) func(context.Context, string) (verify.PublicKey, error) {
	return func(ctx context.Context, id string) (verify.PublicKey, error) {
		data, err := client.RememberedKey(ctx, id)
		if errors.Is(err, stream.ErrUnknownKey) {
			return verify.PublicKey{}, replay.ErrKeyUnknown
		}
		if err != nil {
			return verify.PublicKey{}, cli.Failedf(checkFirst, "%w", err)
		}
		var record wire.KeyRecord
		if err := json.Unmarshal(data, &record); err != nil {
			return verify.PublicKey{}, fmt.Errorf("%w: what %s holds under %s is no record of ours", replay.ErrKeyUnknown, stream.KeysBucket, id)
		}
		key, err := verify.ParsePublicKey([]byte(record.PublicKey))
		if err != nil {
			return verify.PublicKey{}, fmt.Errorf("%w: what %s holds under %s is no key: %w", replay.ErrKeyUnknown, stream.KeysBucket, id, err)
		}
		return key, nil
	}
}

// verification is one run of the verb.
type verification struct {
	cmd    *cobra.Command
	client *stream.Client
	out    *verifyPrinter

	sum verifySummary
}

func (v *verification) run(s replay.Selection, checker *replay.Checker) error {
	ctx, stderr := v.cmd.Context(), v.cmd.ErrOrStderr()
	usage, err := v.client.Usage(ctx)
	if err != nil {
		return cli.Failedf(checkFirst, "%w", err)
	}
	bar := newProgress(stderr, "verify", lastOf(s, usage), !v.out.all)
	var named []string
	err = readSelected(ctx, v.client, s, stream.ReadOptions{}, func(m events.Stored) error {
		checked, err := checker.Check(ctx, m)
		if err != nil {
			return err
		}
		v.sum.add(m, checked)
		if !checked.Verdict.Fits() && len(named) < maxNamed {
			named = append(named, fmt.Sprintf("%d: %s: %s", m.Sequence, checked.Verdict, checked.Detail))
		}
		bar.reach(int64(m.Sequence)) //nolint:gosec // no stream comes to 2^63
		return v.out.row(m, checked)
	})
	bar.end()
	if err != nil {
		return errors.Join(err, v.out.abandon())
	}
	if v.sum.Checked == 0 {
		nothingMatched(ctx, stderr, v.client, stream.Events, "events")
	}
	if err := v.out.finish(v.sum); err != nil {
		return err
	}
	for _, line := range named {
		fmt.Fprintln(stderr, "replayer: "+cli.Clean(line))
	}
	if bad := v.sum.bad(); bad > 0 {
		return cli.Partlyf("replayer verify --all -o ndjson    # names every one; replayer show --seq N shows it",
			"%d of %d events do not fit, or nothing can be said of them", bad, v.sum.Checked)
	}
	return nil
}

// lastOf is the last sequence that the selection can reach, for the bar.
func lastOf(s replay.Selection, u stream.Usage) int64 {
	last := u.LastSeq
	if s.LastSeq > 0 {
		last = min(last, s.LastSeq)
	}
	return int64(last) //nolint:gosec // no stream comes to 2^63
}
