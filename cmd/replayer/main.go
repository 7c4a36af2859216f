// Command replayer is for whoever is on call: it looks at the stored events,
// follows them live, proves them again, sends them again, takes in after all what
// was refused, and asks Alipay what is true.
//
// Data goes to stdout, conversation to stderr. Exit codes: 0 done, 1 failed,
// 2 the command line or the configuration is wrong, 3 declined, 4 partly done.
// Verbs that write are dry runs until --execute, and leave their records on
// ALIPAY_AUDIT. Nothing here changes a stored event.
package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/cli"
)

func main() {
	ctx, stop := cli.WithSignals(context.Background())
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr, os.Environ())
	stop()
	os.Exit(code)
}

// run is the whole command without the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, environ []string) int {
	a := &archive{environ: environ}
	root := &cobra.Command{
		Use:   "replayer",
		Short: "Look at stored events, prove them, send them again",
		Example: `  replayer events --since 2h                        # what was stored in the last two hours
  replayer events --type voucher.created --key 2026080100 -o ndjson
  replayer show 2026080100222091545004711407822111  # everything that is kept of one notification
  replayer tail --app 2021000000000001              # what comes in, live
  replayer verify --since 30d                       # does every stored event still prove itself?
  replayer rejects list --since 1h                  # what was refused, and why
  replayer quarantine release --why stale           # a dry run of taking it in
  replayer replay --to consumer:orders --since 2h   # a dry run of sending again
  replayer dlq list                                 # what consumers gave up
  replayer cheat                                    # more recipes, on one screen`,
		Version: wire.Version,
	}
	root.PersistentFlags().StringVar(&a.file, "config", "", "configuration file (default $ALIPAY_NOTIFY_CONFIG, else ./alipay-notify.yaml)")
	root.AddCommand(eventsCommand(a), showCommand(a), tailCommand(a), verifyCommand(a),
		refusedCommand(a, quarantine), refusedCommand(a, rejects), explainCommand(a),
		streamsCommand(a), auditCommand(a), dlqCommand(a), replayCommand(a), jobsCommand(a), doctorCommand(a), cheatCommand(), completionCommand(),
		queryCommand(a), callCommand(a), reconcileCommand(a))
	return cli.Main(ctx, root, args, stdout, stderr)
}
