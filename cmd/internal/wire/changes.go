package wire

import (
	"strings"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/stream"
)

// ChangeRow is what provisioning does, or would do, to one stream, as commands
// print it. The names are a contract.
type ChangeRow struct {
	Stream      string   `json:"stream"`
	Action      string   `json:"action"` // create, update or none
	Differences []string `json:"differences"`
	Shrinks     []string `json:"shrinks"`
	Note        string   `json:"note,omitempty"`
}

// PrintChanges prints a plan, one row a stream.
func PrintChanges(out *cli.Printer, changes []stream.Change) error {
	for _, c := range changes {
		r := ChangeRow{Stream: c.Stream, Action: "none", Differences: []string{}, Shrinks: append([]string{}, c.Shrinks...), Note: c.Note}
		if c.Create {
			r.Action = "create"
		} else if c.Pending() {
			r.Action = "update"
		}
		for _, d := range c.Differences {
			r.Differences = append(r.Differences, d.String())
		}
		detail := strings.Join(r.Differences, "; ")
		if r.Note != "" {
			detail = r.Note
		}
		if err := out.Row(r, r.Stream, r.Action, detail); err != nil {
			return err
		}
	}
	return out.Close()
}

// ChangesHead is the head of PrintChanges' table.
var ChangesHead = []string{"STREAM", "ACTION", "DETAIL"}

// Shrinks names what a plan would make smaller, which drops what is stored
// beyond it.
func Shrinks(changes []stream.Change) []string {
	var all []string
	for _, c := range changes {
		for _, s := range c.Shrinks {
			all = append(all, c.Stream+" "+s)
		}
	}
	return all
}
