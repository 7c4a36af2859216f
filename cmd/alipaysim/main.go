// Command alipaysim is a stand-in for Alipay, for development and tests: it
// makes keys, sends notifications of every type, signed as Alipay signs them and
// retried on Alipay's schedule, and answers OpenAPI calls with real state. See
// alipaysim --help.
package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"alipay-notify/internal/cli"
)

func main() {
	ctx, stop := cli.WithSignals(context.Background())
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr, os.Environ())
	stop()
	os.Exit(code)
}

// run is the whole program; tests call it in process. The environment is part
// of what a program is given, but nothing here reads it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, _ []string) int {
	return cli.Main(ctx, rootCommand(), args, stdout, stderr)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "alipaysim",
		Short: "A stand-in for Alipay, for development and tests",
		Long: `alipaysim plays Alipay: it signs notifications with a key of its own, delivers
them, and retries on Alipay's schedule; and it answers the OpenAPI calls that
cause them.

Its keys are for development. A receiver takes them when its configuration says
dev: true, and refuses to start with them otherwise.`,
		Example: `  alipaysim keys                    make the keys, once
  alipaysim send voucher.created    send one notification to a local receiver
  alipaysim send --list             show what can be sent
  alipaysim serve                   answer OpenAPI calls on this machine`,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(keysCommand(), sendCommand(), serveCommand())
	return root
}
