// Command receiver takes Alipay's asynchronous notifications: it verifies the
// signature, dedupes in Redis, publishes typed events to NATS JetStream, and
// says `success` only for what is stored.
//
// It logs to stderr, one line a notification. /livez, /readyz and /metrics are
// on the ops listener. SIGTERM and SIGINT stop it gracefully; a second signal
// ends it at once. Exit codes: 0 stopped as asked, 1 failed, 2 configuration.
package main

import (
	"context"
	"io"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/cli"
)

func main() {
	runtime.MemProfileRate = 0 // nobody can ask for the profile, and it is 0.3 % of the CPU
	ctx, stop := cli.WithSignals(context.Background())
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr, os.Environ())
	stop()
	os.Exit(code)
}

// run is the whole command without the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, environ []string) int {
	var file string
	root := &cobra.Command{
		Use:   "receiver",
		Short: "Receive Alipay's asynchronous notifications as typed events",
		Example: `  receiver --config alipay-notify.yaml    # serve until SIGTERM
  receiver check                          # are the configuration, the keys and the connections in order?
  receiver provision --dry-run            # what would be created or changed on NATS?`,
		Version: wire.Version,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), file, environ, stderr)
		},
	}
	root.PersistentFlags().StringVar(&file, "config", "", "configuration file (default $ALIPAY_NOTIFY_CONFIG, else ./alipay-notify.yaml)")
	load := loader{file: &file, environ: environ}
	root.AddCommand(checkCommand(load), provisionCommand(load), configCommand(load))
	return cli.Main(ctx, root, args, stdout, stderr)
}
