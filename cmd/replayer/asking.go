package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/config"
	"alipay-notify/internal/openapi"
)

// asking are the flags of verbs that ask Alipay.
type asking struct {
	app     string
	gateway string
	mode    string
	timeout time.Duration
}

func (q *asking) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&q.app, "app", "", "the `app_id` that asks; needed where several are configured")
	flags.StringVar(&q.gateway, "gateway", string(openapi.V3), "v3 (REST) or v2 (gateway.do)")
	completeFixed(cmd, "gateway", string(openapi.V3), string(openapi.V2))
	flags.DurationVar(&q.timeout, "timeout", openapi.DefaultTimeout, fmt.Sprintf("of one attempt; what may be repeated has %d", openapi.DefaultAttempts))
}

// addMode adds what most marketing operations want to know.
func (q *asking) addMode(cmd *cobra.Command) {
	cmd.Flags().StringVar(&q.mode, "access-mode", openapi.SelfMode, "merchant_access_mode: SELF_MODE, or AGENCY_MODE for an ISV that acts for the merchant")
	completeFixed(cmd, "access-mode", openapi.SelfMode, openapi.AgencyMode)
}

// check refuses what nobody knows, before anything is asked.
func (q *asking) check(cmd *cobra.Command) error {
	switch openapi.Gateway(q.gateway) {
	case openapi.V3, openapi.V2:
	default:
		return cli.Usagef(help(cmd), "--gateway %q: want v3 or v2", q.gateway)
	}
	if q.timeout <= 0 {
		return cli.Usagef(help(cmd), "--timeout %v: want more than nothing", q.timeout)
	}
	switch q.mode {
	case "", openapi.SelfMode, openapi.AgencyMode:
		return nil
	}
	return cli.Usagef(help(cmd), "--access-mode %q: want %s or %s", q.mode, openapi.SelfMode, openapi.AgencyMode)
}

// over is the protocol, for typed calls.
func (q *asking) over() openapi.Option { return openapi.Over(openapi.Gateway(q.gateway)) }

// client is the one of the app that is meant.
func (q *asking) client(cmd *cobra.Command, a *archive) (config.Config, *openapi.Client, error) {
	cfg, err := wire.Config(a.file, a.environ)
	if err != nil {
		return cfg, nil, err
	}
	if q.app, err = pickApp(cmd, cfg, q.app); err != nil {
		return cfg, nil, err
	}
	client, err := wire.OpenAPI(cfg, q.app, func(c *openapi.Config) { c.Timeout = q.timeout })
	return cfg, client, err
}

// pickApp is the app that is named, or the only one there is.
func pickApp(cmd *cobra.Command, cfg config.Config, app string) (string, error) {
	if app != "" {
		return app, nil
	}
	if len(cfg.Apps) == 1 {
		return cfg.Apps[0].AppID, nil
	}
	var all []string
	for _, a := range cfg.Apps {
		all = append(all, a.AppID)
	}
	return "", cli.Usagef("--app with one of: "+strings.Join(all, ", ")+"; "+help(cmd), "%d apps are configured: which one asks?", len(all))
}

// askError gives an error of the client its exit code, and what to try.
func askError(err error) error {
	e := openapi.As(err)
	if e == nil {
		return err
	}
	plain := *e // its hint gets a line of its own
	plain.Hint = ""
	if e.Kind == openapi.Invalid {
		return cli.Usagef(e.Hint, "%w", &plain)
	}
	return cli.Failedf(e.Hint, "%w", &plain)
}

// unknownToAlipay tells whether Alipay says that there is no such thing. For
// activities it has no word of its own: a parameter is called invalid.
func unknownToAlipay(err error) (why string, yes bool) {
	e := openapi.As(err)
	if e == nil || e.Kind != openapi.Refused {
		return "", false
	}
	switch e.Reason() {
	case "INVALID_PARAMETER", "ACTIVITY_NOT_EXIST", "CARD_NOT_EXIT", "VOUCHER_NOT_EXIST", "TEMPLATE_NOT_EXIT":
		return cli.Clean(cmp.Or(e.Reason()+" "+e.Message, "Alipay does not know it")), true
	}
	return "", false
}

// readParams reads parameters as flags give them: JSON, @FILE, or @- for stdin.
func readParams(cmd *cobra.Command, text string) ([]byte, error) {
	file, isFile := strings.CutPrefix(text, "@")
	switch {
	case !isFile:
		return []byte(text), nil
	case file == "-":
		return io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxParams))
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, cli.Usagef(help(cmd), "--json: %w", err)
	}
	defer f.Close() //nolint:errcheck // it is only read
	return io.ReadAll(io.LimitReader(f, maxParams))
}

// maxParams bounds what is read as the parameters of one call.
const maxParams = 4 << 20

// noFiles keeps a shell from offering files where none is meant.
func noFiles(cmd *cobra.Command) *cobra.Command {
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

// said collects the flags that were given, for the audit trail.
func said(flags *pflag.FlagSet, names ...string) map[string]string {
	p := make(map[string]string)
	for _, name := range names {
		if f := flags.Lookup(name); f != nil && f.Changed {
			p[name] = f.Value.String()
		}
	}
	return p
}

// detached is a context for what has to be done although the operator leaves.
func detached(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }
