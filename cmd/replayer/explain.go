package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"alipay-notify/cmd/internal/wire"
	"alipay-notify/internal/cli"
	"alipay-notify/internal/config"
	"alipay-notify/internal/events"
	"alipay-notify/internal/explain"
	"alipay-notify/internal/replay"
	"alipay-notify/internal/stream"
)

// explainOptions are the flags of explain.
type explainOptions struct {
	seq         string
	in          string
	app         string
	contentType string
	strings     bool
	look        revealFlags
	format      cli.Format
}

func explainCommand(a *archive) *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain FILE|-|ID",
		Short: "Say why a request is, or is not, taken",
		Long: `Say whether a captured request would be taken, by which key and rule its
signature fits, and when none fits what is likely wrong and what to do.

A FILE (or - for standard input) holds the body as it was posted, byte for byte;
a pasted HTTP message is understood too. It is judged offline, with the keys of
the configuration. Anything else is an ID, which is looked for in the archive,
the quarantine and the rejects; --seq N --in STREAM names one message instead.

A cause that is "proved" was undone on a copy, and the signature then fitted.
Of a file the output holds what the request holds, personal data included. Of a
stored request that is masked, signing strings wholly, without --reveal, which
leaves a record on ALIPAY_AUDIT before anything is shown.

Exit code 0: it would be taken. 1: it would not, or there is no such request.`,
		Example: `  replayer explain request.form
  replayer rejects show --seq 7 --raw --reveal | replayer explain -
  replayer explain --seq 7 --in rejects
  replayer explain request.form --strings      # also the signing strings`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.look.check(cmd, false); err != nil {
				return err
			}
			cfg, err := wire.Config(a.file, a.environ)
			if err != nil {
				return err
			}
			in, stored, err := o.input(cmd, a, args)
			if err != nil {
				return err
			}
			return o.explain(cmd, cfg, in, stored && !o.look.reveal)
		},
	}
	cmd.Flags().StringVar(&o.seq, "seq", "", "this sequence `N` of the stream that --in names")
	cmd.Flags().StringVar(&o.in, "in", "", "look only in `events`, quarantine or rejects")
	cmd.Flags().StringVar(&o.app, "app", "", "the `app_id` in the URL that the request was posted to")
	cmd.Flags().StringVar(&o.contentType, "content-type", "", "the Content-Type `header` that it had")
	cmd.Flags().BoolVar(&o.strings, "strings", false, "also print the signing strings that were tried")
	addReveal(cmd.Flags(), &o.look)
	cli.AddFormat(cmd.Flags(), &o.format)
	completeFixed(cmd, "in", "events", quarantine.verb, rejects.verb)
	completeFixed(cmd, "output", formats...)
	return cmd
}

// input finds the request that is meant, and tells whether it is a stored one.
func (o explainOptions) input(cmd *cobra.Command, a *archive, args []string) (in explain.Input, stored bool, err error) {
	in = explain.Input{PathApp: o.app, ContentType: o.contentType, At: time.Now()}
	switch {
	case (len(args) == 1) == (o.seq != ""):
		return in, false, cli.Usagef(help(cmd), "one FILE, - or ID, or --seq N")
	case len(args) == 1 && args[0] == "-":
		in.Body, err = readCapped(cmd.InOrStdin())
		return in, false, err
	case len(args) == 1:
		file, err := os.Open(args[0])
		if err == nil {
			defer file.Close() //nolint:errcheck // nothing was written
			in.Body, err = readCapped(file)
			return in, false, err
		}
		if !errors.Is(err, os.ErrNotExist) {
			return in, false, cli.Failedf("", "%w", err)
		}
		return in, true, o.find(cmd, a, replay.RawSelection{ID: args[0]}, &in)
	}
	return in, true, o.find(cmd, a, replay.RawSelection{Seq: o.seq, Limit: 1}, &in)
}

// readCapped reads a little more than explain looks at, so that it can say so.
func readCapped(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, explain.MaxBody+1))
	if err != nil {
		return nil, cli.Failedf("", "read the request: %w", err)
	}
	return body, nil
}

// find looks for a stored request, first in the archive.
func (o explainOptions) find(cmd *cobra.Command, a *archive, raw replay.RawSelection, in *explain.Input) error {
	places := map[string]bool{"": true, "events": true, quarantine.verb: true, rejects.verb: true}
	if !places[o.in] {
		return cli.Usagef("--in events, --in quarantine or --in rejects", "--in %q: no such place", o.in)
	}
	if o.seq != "" && o.in == "" {
		return cli.Usagef("--seq "+o.seq+" --in rejects", "--seq N is a place in one stream: --in says which")
	}
	client, err := a.connect("explain")
	if err != nil {
		return err
	}
	defer client.Close()
	return o.look.run(cmd, client, cmp.Or(o.in, "events, quarantine, rejects"), "", func(context.Context) error {
		return o.findIn(cmd, client, raw, in)
	})
}

func (o explainOptions) findIn(cmd *cobra.Command, client *stream.Client, raw replay.RawSelection, in *explain.Input) error {
	if o.in == "" || o.in == "events" {
		if found, err := o.findEvent(cmd, client, raw, in); found || err != nil {
			return err
		}
	}
	for _, k := range []refusedKind{quarantine, rejects} {
		if o.in != "" && o.in != k.verb {
			continue
		}
		if found, err := o.findRefused(cmd, client, k, raw, in); found || err != nil {
			return err
		}
	}
	return cli.Failedf("replayer rejects list --since 1d", "there is no file and no stored request of that name")
}

func (o explainOptions) findEvent(cmd *cobra.Command, client *stream.Client, raw replay.RawSelection, in *explain.Input) (bool, error) {
	raw.Limit, raw.IncludeReplays = 1, true
	s, err := replay.ParseSelection(raw, time.Now())
	if err := flagError(cmd, err); err != nil {
		return false, err
	}
	var found *events.Stored
	err = readSelected(cmd.Context(), client, s, stream.ReadOptions{}, func(m events.Stored) error {
		found = &m
		return nil
	})
	if err != nil || found == nil {
		return false, err
	}
	if err := rawError(*found); err != nil {
		return false, cli.Failedf("", "the event at %d: %w", found.Sequence, err)
	}
	in.Body, in.At = []byte(found.Raw), found.ReceivedAt
	in.PathApp = found.AppID // it is no field of every form, and agrees with it where it is
	fmt.Fprintf(cmd.ErrOrStderr(), "replayer: the event at %d of %s, as it was received\n", found.Sequence, stream.Events)
	return true, nil
}

func (o explainOptions) findRefused(cmd *cobra.Command, client *stream.Client, k refusedKind, raw replay.RawSelection, in *explain.Input) (bool, error) {
	raw.Limit = 1
	s, err := replay.ParseRefusedSelection(raw, "", time.Now())
	if err := flagError(cmd, err); err != nil {
		return false, err
	}
	var found *replay.Refused
	err = readRefused(cmd.Context(), client, k, s, func(r replay.Refused) error {
		found = &r
		return nil
	})
	if err != nil || found == nil {
		return false, err
	}
	in.Body, in.At, in.PathApp, in.ContentType = []byte(found.Body), found.ReceivedAt, found.PathApp, found.ContentType
	fmt.Fprintf(cmd.ErrOrStderr(), "replayer: the request at %d of %s, refused as %s\n", found.Stored.Sequence, k.stream, cli.Clean(found.Reason))
	return true, nil
}

// explain judges the request with what can be loaded of the keys: a key file
// that cannot be used may be the very cause.
func (o explainOptions) explain(cmd *cobra.Command, cfg config.Config, in explain.Input, masked bool) error {
	keys, err := wire.LoadKeys(cfg)
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "replayer: not all keys can be used: %s\n", cli.Clean(err.Error()))
	}
	in.MaxSignedAge = cfg.HTTP.MaxSignedAge
	for _, k := range keys.Loaded {
		in.Apps = append(in.Apps, explain.App{
			ID: k.AppID, Keys: k.Public, SignTypes: k.SignTypes, AESKeys: k.AESKeys, OwnKeys: k.Own, AnswersChecks: len(k.Own) > 0,
		})
	}
	report := explain.Explain(in)
	if masked {
		maskReport(&report)
	}
	if o.format == cli.Table {
		var b bytes.Buffer
		writeReport(&b, report, o.strings)
		if err := writeAll(cmd.OutOrStdout(), b.Bytes()); err != nil {
			return err
		}
	} else {
		out := cli.NewPrinter(cmd.OutOrStdout(), cli.NDJSON) // one object in either format
		if err := errors.Join(out.Row(report), out.Close()); err != nil {
			return err
		}
	}
	if !report.Accepted {
		return cli.Failedf("", "the receiver would not take this request")
	}
	return nil
}

// maskReport hides personal data in a report about a stored request.
func maskReport(r *explain.Report) {
	for i := range r.Fields {
		f := &r.Fields[i]
		f.Value = events.MaskValue(f.Name, f.Value)
		if f.Base64 != "" {
			f.Value, f.Base64 = events.Hidden, events.Hidden
		}
	}
	for i := range r.Candidates {
		maskCandidate(&r.Candidates[i])
	}
	if r.Repaired != nil {
		maskCandidate(r.Repaired)
	}
	for i := range r.Steps {
		r.Steps[i].Detail = events.MaskText(r.Steps[i].Detail)
	}
	for i := range r.Causes {
		r.Causes[i].What = events.MaskText(r.Causes[i].What)
		r.Causes[i].Try = events.MaskText(r.Causes[i].Try)
	}
}

// maskCandidate hides a signing string: it is the whole request in one text.
func maskCandidate(c *explain.Candidate) {
	c.SigningString = events.Hidden
	if c.Base64 != "" {
		c.Base64 = events.Hidden
	}
}
