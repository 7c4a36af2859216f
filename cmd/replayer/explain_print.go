package main

import (
	"bytes"
	"cmp"
	"fmt"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/explain"
)

// writeReport prints a report for people. Everything of the request is cleaned:
// it may be an attack on the terminal.
func writeReport(b *bytes.Buffer, r explain.Report, signingStrings bool) {
	fmt.Fprintln(b, "fields, in the order of the signed string")
	for _, f := range r.Fields {
		note := ""
		if !f.Documented {
			note = "    (not documented)"
		}
		fmt.Fprintf(b, "  %s = %s%s\n", cli.Clean(f.Name), cli.Clean(abbreviate(f.Value, f.Bytes)), note)
	}
	fmt.Fprintln(b, "\nchecks, in the receiver's order")
	for _, s := range r.Steps {
		fmt.Fprintf(b, "  %-5s %-17s %s\n", s.State, s.Check, cli.Clean(s.Detail))
	}
	if signingStrings {
		writeCandidates(b, r)
	}
	if s := r.Signature; s.MadeBy != "" {
		fmt.Fprintf(b, "\nthe signature was made by %s key %s of app %s (%s); it covers a text with the digest %s\n",
			whose(s.Role), s.MadeBy, cli.Clean(s.App), s.SignType, s.Digest)
	}
	switch {
	case r.Match != nil:
		fmt.Fprintf(b, "\nthe signature fits: key %s, rule %s, %s\n", r.Match.KeyID, r.Match.Rule, r.Match.SignType)
	case len(r.Candidates) > 0:
		fmt.Fprintf(b, "\nthe signature fits none of %d signing strings; --strings shows them\n", len(r.Candidates))
	}
	for i, c := range r.Causes {
		kind := "perhaps"
		if c.Proved {
			kind = "proved"
		}
		fmt.Fprintf(b, "\n%d. %s: %s\n", i+1, kind, cli.Clean(c.What))
		if c.Try != "" {
			fmt.Fprintf(b, "   Try: %s\n", cli.Clean(c.Try))
		}
		if c.Fault > 0 {
			fmt.Fprintf(b, "   code %s, fault %d of the collection\n", c.Code, c.Fault)
		} else {
			fmt.Fprintf(b, "   code %s\n", c.Code)
		}
	}
	if r.Work.Exhausted {
		fmt.Fprintln(b, "\nthe search ended at its bound: a repair that exists may not have been found")
	}
	if r.Accepted {
		fmt.Fprintln(b, "\nthe receiver would take it")
	}
}

func writeCandidates(b *bytes.Buffer, r explain.Report) {
	fmt.Fprintln(b, "\nsigning strings, in the order in which they are tried")
	for _, c := range r.Candidates {
		fits := "fits no known key"
		if c.FitsKey != "" {
			fits = "fits key " + c.FitsKey
		}
		fmt.Fprintf(b, "  %s: %s, SHA-256 %s\n    %s\n", c.Rule, fits, c.SHA256, cli.Clean(cmp.Or(c.SigningString, c.Base64)))
	}
	if c := r.Repaired; c != nil {
		fmt.Fprintf(b, "  repaired, %s: fits key %s\n    %s\n", c.Rule, c.FitsKey, cli.Clean(c.SigningString))
	}
}

func whose(role string) string {
	if role == "own" {
		return "the own"
	}
	return "Alipay's"
}

// maxFieldShown is how much of one value a table shows.
const maxFieldShown = 400

func abbreviate(s string, size int) string {
	runes := []rune(s)
	if len(runes) <= maxFieldShown {
		return s
	}
	return fmt.Sprintf("%s... (%d bytes)", string(runes[:maxFieldShown]), size)
}
