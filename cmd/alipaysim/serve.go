package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/alipaytest/platform"
	"alipay-notify/internal/cli"
)

const (
	// drainTime is how long calls that have begun may take after the end was asked for.
	drainTime = 5 * time.Second
	// headerTime is how long a caller may take to say what it wants.
	headerTime = 10 * time.Second
	// deliveries is how many notifications are posted at once.
	deliveries = 32
)

func serveCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer OpenAPI calls, as Alipay's open platform would",
		Long: `serve answers OpenAPI calls over v3 REST and gateway.do until it is interrupted:
voucher activities, user vouchers, cards, card templates, bound accounts and
trades, with state in memory. It checks signatures, timestamps, nonces,
certificates and parameters as strictly as Alipay's documents say, signs its
answers, and posts the notifications that operations cause to the receiver, on
Alipay's schedule. What is sent and what becomes of it goes to stdout, or to
--journal, one JSON object a line.

On request notifications are dropped, delayed, duplicated, reordered and tampered
with, and calls go wrong; the same --seed repeats all of that. Programs on this
machine can also say so while it runs, under /_sim/ (docs/CLI.md).`,
		Example: `  alipaysim serve
  alipaysim serve --time-scale 1000 --drop 0.05 --seed 7 --journal journal.ndjson
  alipaysim serve --app-key 2021000000000001=dev/app-public.pem --app-key 2021000000000002=two.pem
  alipaysim serve --api-fault throttle=0.1 --api-fault lost=0.02
  alipaysim serve --app-cert app.crt --alipay-cert alipay.crt --alipay-root-cert root.crt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd, o) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// serve is the verb: check, load, listen, answer until the context ends.
func serve(cmd *cobra.Command, o serveOptions) error {
	if err := o.check(cmd.Flags()); err != nil {
		return err
	}
	config, err := o.config()
	if err != nil {
		return err
	}
	out, closeJournal, err := o.openJournal(cmd.OutOrStdout())
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{
		MaxConnsPerHost: deliveries, MaxIdleConnsPerHost: deliveries, IdleConnTimeout: time.Minute,
	}}
	defer client.CloseIdleConnections()
	config.Journal = out
	config.Notifier = &alipaytest.Client{URL: o.url, HTTP: client}
	p, err := platform.New(config)
	if err != nil {
		return errors.Join(cli.Usagef(serveHelp, "%w", err), closeJournal())
	}
	listener, err := new(net.ListenConfig).Listen(cmd.Context(), "tcp", o.listen)
	if err != nil {
		p.Close()
		return errors.Join(cli.Failedf("alipaysim serve --listen 127.0.0.1:0", "%w", err), closeJournal())
	}
	base := "http://" + listener.Addr().String()
	stderr := cmd.ErrOrStderr()
	fmt.Fprintf(stderr, "alipaysim: the open platform is at %s, with seed %d; notifications go to %s\n"+
		"Try: openapi: { base_url: %q } in the receiver's configuration, and curl %s/_sim/journal\n",
		base, o.seed, o.url, base, base)
	err = answer(cmd.Context(), listener, p)
	fmt.Fprintf(stderr, "alipaysim: stopped; %s\n", tally(p.Journal()))
	return errors.Join(err, closeJournal())
}

// answer serves until the context ends, then lets calls end that have begun.
func answer(ctx context.Context, listener net.Listener, p *platform.Platform) error {
	defer p.Close()
	server := &http.Server{Handler: p.Handler(), ReadHeaderTimeout: headerTime}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	// Not ctx, which has ended.
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		_ = server.Close() // whoever is still there has had its time
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// tally sums a journal up.
func tally(entries []platform.Entry) string {
	n := map[string]int{}
	for _, e := range entries {
		n[e.What]++
	}
	return fmt.Sprintf("%d calls; %d notifications: %d acknowledged, %d dropped, %d given up, %d interrupted", n[platform.Called],
		n[platform.Caused], n[platform.Acknowledged], n[platform.Dropped], n[platform.GivenUp], n[platform.Interrupted])
}

// openJournal gives where the journal goes, and what closes it.
func (o *serveOptions) openJournal(stdout io.Writer) (io.Writer, func() error, error) {
	if o.journal == "" {
		return stdout, func() error { return nil }, nil
	}
	file, err := os.OpenFile(o.journal, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, nil, cli.Usagef(serveHelp, "--journal: %w", err)
	}
	return file, file.Close, nil
}
