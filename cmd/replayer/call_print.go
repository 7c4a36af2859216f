package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/events"
	"alipay-notify/internal/openapi"
)

// callAnswer is what -o json and ndjson print of an answer. The names are a contract.
type callAnswer struct {
	Method  string          `json:"method"`
	Gateway openapi.Gateway `json:"gateway"`
	AppID   string          `json:"app_id"`
	Number  string          `json:"number"` // out_biz_no or the like; empty where there is none
	Status  int             `json:"status"` // of HTTP
	TraceID string          `json:"trace_id"`
	KeyID   string          `json:"key_id"` // the key that proved the answer
	Masked  bool            `json:"masked"`
	Data    json.RawMessage `json:"data"`
}

func (c *calling) printAnswer(r openapi.Response) error {
	if r.RotatedSN != "" {
		c.say("note: the answer names the certificate %s, which is not configured: Alipay has renewed its own, download it", r.RotatedSN)
	}
	data := r.Data
	if !c.reveal {
		data = events.Mask(data)
	}
	if c.format != cli.Table {
		return c.printObject(callAnswer{
			Method: r.Method, Gateway: r.Gateway, AppID: c.app, Number: c.number, Status: r.Status, TraceID: r.TraceID,
			KeyID: r.KeyID, Masked: !c.reveal, Data: data,
		})
	}
	c.say("%s answered %d, trace %s, proved by key %s", r.Method, r.Status, orDash(r.TraceID), r.KeyID)
	return c.printJSON(data)
}

// printObject prints the one object of a call.
func (c *calling) printObject(v any) error {
	line, err := cli.Marshal(v)
	if err != nil {
		return err
	}
	if c.format == cli.NDJSON {
		return writeAll(c.cmd.OutOrStdout(), append(line, '\n'))
	}
	return c.printJSON(line)
}

func (c *calling) printJSON(data []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	return writeAll(c.cmd.OutOrStdout(), cli.EscapeJSON(b.Bytes()))
}

// callPlan is a dry run as -o json and ndjson print it. The names are a contract.
type callPlan struct {
	Method      string            `json:"method"`
	Gateway     openapi.Gateway   `json:"gateway"`
	Verb        string            `json:"verb"`
	URL         string            `json:"url"`
	Public      map[string]string `json:"public"` // gateway.do: public parameters of the call's own
	Body        string            `json:"body"`   // v3: the body; gateway.do: biz_content
	Encrypt     bool              `json:"encrypt"`
	NumberField string            `json:"number_field"`
	Number      string            `json:"number"`
	Causes      string            `json:"causes"` // the event that confirms it
	Unknown     []string          `json:"unknown"`
}

// dryRun prints the exact request. Signature, nonce and time are made when it is
// sent; the app_auth_token is never shown.
func (c *calling) dryRun(p openapi.Plan) error {
	public := map[string]string{}
	maps.Copy(public, p.Public)
	if p.Gateway == openapi.V2 { // the verb of the table is that of v3
		p.Verb, public["method"] = "POST", p.Method
	}
	p.Public = public
	var err error
	if c.format != cli.Table {
		err = c.printObject(callPlan{
			Method: p.Method, Gateway: p.Gateway, Verb: p.Verb, URL: p.URL, Public: public, Body: p.Body, Encrypt: p.Encrypt,
			NumberField: c.field, Number: c.number, Causes: p.Causes, Unknown: append([]string{}, p.Unknown...),
		})
	} else {
		err = c.printRequest(p)
	}
	if err != nil {
		return err
	}
	if p.Causes != "" {
		c.say("once Alipay has accepted it, %s is expected within %v", p.Causes, c.due)
	}
	again := ""
	if c.field != "" {
		again = " --out-biz-no " + c.number
	}
	c.say("dry run: nothing was sent; the same with%s --execute --reason TEXT sends it", again)
	return nil
}

func (c *calling) printRequest(p openapi.Plan) error {
	out := c.cmd.OutOrStdout()
	fmt.Fprintf(out, "%s %s\n", p.Verb, cli.Clean(p.URL))
	for _, name := range slices.Sorted(maps.Keys(p.Public)) {
		fmt.Fprintf(out, "%s: %s\n", name, cli.Clean(p.Public[name]))
	}
	if p.Encrypt {
		fmt.Fprintln(out, "(the body is encrypted when it is sent)")
	}
	if p.Body == "" {
		return nil
	}
	return writeAll(out, append(append([]byte("\n"), cli.EscapeJSON([]byte(p.Body))...), '\n'))
}
