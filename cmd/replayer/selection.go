package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/replay"
)

// flagValues are the selection flags, which mean the same in every verb.
type flagValues replay.RawSelection

// addSelection adds the selection flags.
func addSelection(flags *pflag.FlagSet, v *flagValues) {
	flags.StringVar(&v.App, "app", "", "only this `app_id`")
	flags.StringVar(&v.Type, "type", "", "only this entity.action, such as voucher.created; voucher.* is every `type` of an entity")
	flags.StringVar(&v.Key, "key", "", "only this `key`, verbatim: an activity_id, order_no, out_trade_no, ...")
	flags.StringVar(&v.ID, "id", "", "only this `notify_id`, with what came under it with other content")
	flags.StringVar(&v.Since, "since", "", "only what was stored at this `time` or later")
	flags.StringVar(&v.Until, "until", "", "only what was stored before this `time`")
	flags.StringVar(&v.Seq, "seq", "", "only these sequences of the stream: `N`, A-B or A-")
	flags.IntVar(&v.Limit, "limit", 0, "only the first `N` of the selection; 0 is all")
	flags.BoolVar(&v.IncludeReplays, "include-replays", false, "also what was sent again by a replay")
}

// selectionHelp ends the help text of every verb that selects.
const selectionHelp = `

Times are those of storing on the stream, not those that Alipay says. Each is
RFC 3339 (2026-08-01T09:30:00+08:00), a date (2026-08-01, which is its first
moment in UTC, not in local time), or a duration back from now (30m, 2h, 7d).
--since includes its moment, --until does not: --since 2026-08-01 --until
2026-08-02 is that day.`

// completeSelection lets a shell complete what has a closed list of values.
func completeSelection(cmd *cobra.Command, more ...string) {
	var types []string
	for _, t := range replay.Types() {
		if !strings.ContainsAny(t, "< ") { // a description, not a value
			types = append(types, t)
		}
	}
	completeFixed(cmd, "type", types...)
	completeFixed(cmd, "output", slices.Concat(formats, more)...)
}

var formats = []string{string(cli.Table), string(cli.JSON), string(cli.NDJSON)}

// completeFixed lets a shell complete a flag from a closed list of values.
func completeFixed(cmd *cobra.Command, flag string, values ...string) {
	// It fails for a flag that does not exist, or twice: the first test finds it.
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}

// selection reads the flags. What is wrong with them is a usage error.
func (v flagValues) selection(cmd *cobra.Command) (replay.Selection, error) {
	s, err := replay.ParseSelection(replay.RawSelection(v), time.Now())
	return s, flagError(cmd, err)
}

// flagError makes a usage error of what is wrong with a selection.
func flagError(cmd *cobra.Command, err error) error {
	wrong, ok := errors.AsType[*replay.FieldError](err)
	if !ok {
		return err
	}
	try := help(cmd)
	switch len(wrong.Meant) {
	case 0:
	case 1:
		try = fmt.Sprintf("--%s %s", wrong.Field, wrong.Meant[0])
	default:
		try = fmt.Sprintf("--%s with one of: %s", wrong.Field, strings.Join(wrong.Meant, ", "))
	}
	return cli.Usagef(try, "--%w", err)
}

// help is what to try when the command line is wrong.
func help(cmd *cobra.Command) string { return cmd.CommandPath() + " --help" }
