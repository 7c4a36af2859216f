package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/config"
	"alipay-notify/internal/openapi"
)

// callVerb is what the audit trail calls a call that writes.
const callVerb = "call"

// callFlags are the flags of call.
type callFlags struct {
	asking
	consent consentFlags
	json    string
	number  string // --out-biz-no
	due     time.Duration
	silent  bool // --no-expectation
	encrypt bool
	reveal  bool
	format  cli.Format

	// For methods that the operation table does not have.
	verb, path, effect, repeat string
}

func callCommand(a *archive) *cobra.Command {
	var o callFlags
	cmd := &cobra.Command{
		Use:   "call METHOD",
		Short: "Call an operation of Alipay's OpenAPI (writes, where the operation does)",
		Long: `Call any operation by Alipay's name, with its parameters as one JSON object, or
in a file (--json @FILE, @- for stdin). They are checked by Alipay's documents
first: nothing is sent while a required field is missing. A query is asked at once.

What changes something is a dry run that prints the exact request, without
signature and secrets, until --execute --reason TEXT. A record before and one after
it are stored on ALIPAY_AUDIT. An out_biz_no, out_serial_no or request_id that is
missing is made up and printed first. When the outcome is unknown, the exit code is
1 and the exact command to repeat is printed: with the same number, a repeat gives
the first result, and never a second one.

Once Alipay has accepted an operation that an event confirms (voucher.publish,
modify, append, stop, card.open, ...), an expectation is left in ALIPAY_EXPECT:
"replayer reconcile --expectations" reports it when the event does not come by
--due. Personal data in answers is masked without --reveal.

Methods that are not in the operation table need --gateway v2, or --verb and
--path. What they do is guessed by their names (... query reads); --effect says it.

-o json prints one object: method, gateway, and of an answer app_id, status,
trace_id, key_id, number, masked, data; of a dry run verb, url, public, body,
encrypt, number_field, number, causes, unknown (parameters that Alipay's documents
do not name).`,
		Example: `  replayer call alipay.marketing.activity.voucher.query --json '{"activity_id":"2026080100826004508401111111","merchant_access_mode":"SELF_MODE"}'
  replayer call alipay.marketing.activity.voucher.stop --json @stop.json                       # a dry run
  replayer call alipay.marketing.activity.voucher.stop --json @stop.json --execute --reason 'sold out'
  replayer call alipay.trade.query --gateway v2 --json '{"out_trade_no":"70501111111S001111119"}'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd); err != nil {
				return err
			}
			cfg, client, err := o.client(cmd, a)
			if err != nil {
				return err
			}
			defer client.Close()
			c := &calling{cmd: cmd, archive: a, cfg: cfg, client: client, callFlags: o}
			return c.run(args[0])
		},
	}
	cmd.Args = cobra.ExactArgs(1)
	o.register(cmd)
	return cmd
}

func (o *callFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	o.addFlags(cmd)
	flags.StringVar(&o.json, "json", "{}", "the parameters: a JSON `OBJECT`, @FILE, or @- for stdin")
	flags.StringVar(&o.number, "out-biz-no", "", "the `number` that makes a repeat harmless: out_biz_no, out_serial_no or request_id, whichever the operation has; default is a new one")
	flags.DurationVar(&o.due, "due", 30*time.Minute, "until when the event that confirms it is expected")
	flags.BoolVar(&o.silent, "no-expectation", false, "leave no expectation behind")
	flags.BoolVar(&o.encrypt, "encrypt", false, "encrypt the request (接口内容加密)")
	flags.BoolVar(&o.reveal, "reveal", false, "show personal data of the answer; who looks, and why, is recorded first")
	flags.StringVar(&o.verb, "verb", "", "of a method that is not in the table, over v3: GET, POST, PUT, PATCH or DELETE")
	flags.StringVar(&o.path, "path", "", "and its `path`, /v3/...; {name} is replaced by the parameter")
	flags.StringVar(&o.effect, "effect", "", "and what it does: read or write")
	flags.StringVar(&o.repeat, "repeat", "", "and the `field` that makes a repeat harmless, as out_biz_no")
	addConsent(flags, &o.consent)
	flags.Lookup("expect").Hidden = true // there is one item
	cli.AddFormat(flags, &o.format)
	completeFixed(cmd, "output", formats...)
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		var names []string
		for _, op := range openapi.Operations() {
			if len(args) == 0 {
				names = append(names, op.Method)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func (o *callFlags) check(cmd *cobra.Command) error {
	if o.due <= 0 {
		return cli.Usagef(help(cmd), "--due %v: want a time from now", o.due)
	}
	if err := o.asking.check(cmd); err != nil {
		return err
	}
	return o.consent.check(cmd, callVerb)
}

// calling is one run of the verb.
type calling struct {
	cmd     *cobra.Command
	archive *archive
	cfg     config.Config
	client  *openapi.Client
	callFlags

	params json.RawMessage
	field  string // that numbers the call; empty where it has none
}

// say writes a line of conversation.
func (c *calling) say(format string, args ...any) {
	fmt.Fprintln(c.cmd.ErrOrStderr(), "replayer: "+cli.Clean(fmt.Sprintf(format, args...)))
}

func (c *calling) run(method string) error {
	params, err := readParams(c.cmd, c.json)
	if err != nil {
		return err
	}
	c.params = params
	if err := c.setNumber(method); err != nil {
		return err
	}
	r := openapi.Request{
		Method: method, Params: c.params, Gateway: openapi.Gateway(c.gateway), Encrypt: c.encrypt,
		Verb: strings.ToUpper(c.verb), Path: c.path, Effect: openapi.Effect(c.effect), Repeat: c.repeat,
	}
	plan, err := c.client.Plan(r)
	if err != nil {
		return askError(err)
	}
	for _, name := range plan.Unknown {
		c.say("note: Alipay's documents name no parameter %q of this operation: is it new, or misspelt?", name)
	}
	if plan.Effect == openapi.Read {
		return c.read(r)
	}
	if c.field != "" {
		c.say("%s: %s", c.field, c.number)
	}
	if !c.consent.execute {
		return c.dryRun(plan)
	}
	return c.write(r, plan)
}

// numbers are the fields that number a call.
var numbers = []string{"out_biz_no", "out_serial_no", "request_id"}

// setNumber finds the number of a call that writes, or gives it one.
func (c *calling) setNumber(method string) error {
	op, known := openapi.Lookup(method)
	field := c.repeat
	if known {
		field = op.Repeat
		for _, f := range op.Fields {
			if field == "" && op.Effect == openapi.Write && slices.Contains(numbers, f.Name) {
				field = f.Name
			}
		}
	}
	if field == "" {
		if c.number != "" {
			return cli.Usagef(help(c.cmd), "--out-biz-no: %s has no number", cli.Clean(method))
		}
		return nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(c.params, &object); err != nil {
		return cli.Usagef(help(c.cmd), "--json: want one JSON object")
	}
	var given string
	if raw := object[field]; raw != nil {
		if err := json.Unmarshal(raw, &given); err != nil {
			return cli.Usagef(help(c.cmd), "--json: %s is not a text", field)
		}
	}
	if given != "" && c.number != "" && given != c.number {
		return cli.Usagef("one of the two", "--out-biz-no %s, and %s in --json is %s", cli.Clean(c.number), field, cli.Clean(given))
	}
	c.field = field
	if given != "" {
		c.number = given
		return nil
	}
	c.number = cmp.Or(c.number, newNumber(time.Now()))
	c.params = withMember(c.params, field, c.number)
	return nil
}

// newNumber makes an out_biz_no: 30 of 0-9 a-z, sorted by time, and never twice
// the same. The shortest field for it takes 32.
func newNumber(now time.Time) string {
	return now.UTC().Format("20060102150405") + strings.ToLower(rand.Text()[:16])
}

// withMember adds a member to an object, and leaves the rest as it was written.
func withMember(object json.RawMessage, name, value string) json.RawMessage {
	text := strings.TrimSpace(string(object))
	member := string(asJSON(name)) + ":" + string(asJSON(value))
	inner := strings.TrimSpace(strings.TrimPrefix(text, "{"))
	if inner != "}" {
		member += ","
	}
	return json.RawMessage("{" + member + inner)
}

// read asks at once.
func (c *calling) read(r openapi.Request) error {
	reveal := revealFlags{reveal: c.reveal, reason: c.consent.reason, as: c.consent.as}
	return reveal.withAudit(c.cmd, c.archive, "Alipay", c.app, func(ctx context.Context) error {
		resp, err := c.client.Call(ctx, r)
		if err != nil {
			return askError(err)
		}
		return c.printAnswer(resp)
	})
}

// repeatCommand is the command line that does the same call once more.
func (c *calling) repeatCommand(method string) string {
	words := []string{"replayer", "call", method}
	if c.archive.file != "" {
		words = append(words, "--config", c.archive.file)
	}
	words = append(words, "--app", c.app)
	if c.field != "" {
		words = append(words, "--out-biz-no", c.number)
	}
	text := c.json
	if strings.Contains(text, `_token"`) || text == "@-" {
		text = "@FILE" // a token belongs neither into a terminal nor into a log
	}
	words = append(words, "--json", text)
	for _, name := range []string{"gateway", "verb", "path", "effect", "repeat", "due", "no-expectation", "encrypt", "timeout", "as"} {
		if f := c.cmd.Flags().Lookup(name); f != nil && f.Changed {
			words = append(words, "--"+name+"="+f.Value.String())
		}
	}
	words = append(words, "--execute", "--reason", c.consent.reason)
	for i, w := range words {
		words[i] = shellWord(w)
	}
	return strings.Join(words, " ")
}

// shellWord quotes what a shell would take apart.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// errUncertain marks a call of which nobody knows whether it was done.
var errUncertain = errors.New("whether it was done is not known")
