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
	if err := wire.PrintChanges(cli.NewPrinter(cmd.OutOrStdout(), format, wire.ChangesHead...), changes); err != nil {
		return err
	}
	if dry {
		return nil
	}
	if shrinks := wire.Shrinks(changes); len(shrinks) > 0 && !shrink {
		return cli.Declinedf("receiver provision --shrink    # drops what is stored beyond the new limits", "this would drop stored messages: %s", strings.Join(shrinks, "; "))
	}
	if err := client.Apply(ctx, changes); err != nil {
		try := "receiver provision --dry-run"
		if as, denied := wire.Denied(err, "provision"); denied {
			try = as
		}
		return cli.Failedf(try, "%w", err)
	}
	return nil
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
			failed, _, err := wire.PrintFindings(cli.NewPrinter(cmd.OutOrStdout(), format, wire.FindingsHead...), check(cmd.Context(), cfg))
			if err != nil {
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

func check(ctx context.Context, cfg config.Config) []wire.Finding {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	client, nats := wire.CheckNATS(ctx, cfg, "alipay-notify check")
	if client != nil {
		client.Close()
	}
	return slices.Concat(wire.CheckConfig(cfg), wire.CheckKeys(cfg), wire.CheckRedis(ctx, cfg, nil), nats, wire.CheckDurability(cfg, nil))
}
