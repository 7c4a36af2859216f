package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"alipay-notify/internal/cli"
)

// wide is the format of a table of events with everything that fits a column. It is
// for people, and promises nothing.
const wide cli.Format = "wide"

// wideFormat is -o of the verbs that know wide.
type wideFormat struct{ *cli.Format }

func (w wideFormat) Set(s string) error {
	if s == string(wide) {
		*w.Format = wide
		return nil
	}
	if w.Format.Set(s) != nil {
		return fmt.Errorf("unknown format %q: want table, wide, json or ndjson", s)
	}
	return nil
}

// addWide lets a verb take -o wide.
func addWide(cmd *cobra.Command, format *cli.Format) *cobra.Command {
	flag := cmd.Flags().Lookup("output")
	flag.Value = wideFormat{format}
	flag.Usage = "table, wide (a table of more columns), json (one array) or ndjson (one object a line)"
	return cmd
}

// newEventPrinter begins a list of events, in any format. It gives the format that
// is printed in.
func newEventPrinter(w io.Writer, format cli.Format, reveal bool) (*rowPrinter, cli.Format) {
	head, isWide := tableHead, format == wide
	if isWide {
		head, format = wideHead, cli.Table
	}
	p := newRowPrinter(w, format, head...)
	p.reveal, p.wide = reveal, isWide
	return p, format
}

// wideHead is the head of the wide table; wideCells are its row.
var wideHead = append(tableHead[:len(tableHead):len(tableHead)], "APP", "CE-TYPE", "HAPPENED", "RECEIVED", "PROOF", "REPLAY JOB")

func (r eventRow) wideCells() []string {
	return append(r.cells(), r.AppID, orDash(r.CEType), fmt.Sprintf("%-24s", orDash(r.Time)), fmt.Sprintf("%-24s", orDash(r.ReceivedAt)), orDash(r.Proof), orDash(r.ReplayJob))
}
