package main

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/cli"
)

func sendCommand() *cobra.Command {
	var o sendOptions
	cmd := &cobra.Command{
		Use:   "send TYPE | all | --list",
		Short: "Send notifications, as Alipay would",
		Long: `send makes notifications of one type, or one of each with "all", signs them and
posts them until the receiver answers success: 8 deliveries over 24 h 22 min, as
Alipay does. --time-scale makes that time run faster. Each retry is stamped and
signed anew.

One row per notification goes to stdout, in the order in which they end; failed
attempts that are retried, and a summary, go to stderr. The exit code is 0 when
all were acknowledged, 4 when some were, 1 when none was.`,
		Example: `  alipaysim send voucher.created
  alipaysim send all --time-scale 1000 -o ndjson
  alipaysim send voucher.stopped --field out_biz_no=stop-1 --field activity_id=2024010100826004508401111111
  alipaysim send trade.status_changed --charset GBK --rule drop
  alipaysim send voucher.created --aes-key dev/aes.key
  alipaysim send voucher.created --count 10000 --rate 200 --concurrency 50
  alipaysim send voucher.created --duplicate 2 --same-bytes
  alipaysim send --list`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.typ = args[0]
			}
			if o.list {
				return listTypes(cmd, o)
			}
			return send(cmd, o)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// listTypes prints what can be sent.
func listTypes(cmd *cobra.Command, o sendOptions) error {
	if o.typ != "" {
		return cli.Usagef("alipaysim send --list", "--list takes no TYPE")
	}
	type row struct {
		Type     string `json:"type"`
		Wire     string `json:"wire"`
		Protocol string `json:"protocol"`
		Event    bool   `json:"event"`
	}
	out := cli.NewPrinter(cmd.OutOrStdout(), o.format, "TYPE", "ALIPAY'S NAME", "PROTOCOL")
	for _, t := range alipaytest.Types() {
		if err := out.Row(row(t), t.Type, t.Wire, t.Protocol); err != nil {
			return err
		}
	}
	return out.Close()
}

// send is the verb: check, load, deliver, print, sum up.
func send(cmd *cobra.Command, o sendOptions) error {
	if err := o.check(cmd.Flags()); err != nil {
		return err
	}
	base, err := o.notification()
	if err != nil {
		return err
	}
	s := newSender(o, base, cmd.ErrOrStderr())
	defer s.close()
	// What cannot be made at all is a usage error, found before anything is sent.
	if err := s.prepare(); err != nil {
		return err
	}

	out := cli.NewPrinter(cmd.OutOrStdout(), o.format,
		"NOTIFY_ID", "TYPE", "ATTEMPTS", "STATUS", "BODY", "OUTCOME", "MS")
	started := time.Now()
	sum := summary{planned: s.planned()}
	var broken error
	for done := range s.run(cmd.Context()) {
		if done.err != nil {
			broken = errors.Join(broken, done.err)
			continue
		}
		sum.add(done)
		row := newRow(done)
		if err := out.Row(row, row.cells()...); err != nil {
			broken = errors.Join(broken, err)
		}
	}
	broken = errors.Join(broken, out.Close())
	sum.took = time.Since(started)
	if err := sum.err(o.url); err != nil {
		return errors.Join(err, broken)
	}
	s.say("%s", sum.String())
	return broken
}

// newHTTPClient is for one receiver: as many connections as there are senders,
// kept open, and no proxy, since the receiver is usually on this machine.
func newHTTPClient(concurrency int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxIdleConns:        concurrency,
		MaxIdleConnsPerHost: concurrency,
		IdleConnTimeout:     time.Minute,
	}}
}

// lineWriter lets several goroutines write whole lines.
type lineWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lineWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
