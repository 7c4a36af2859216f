package explain

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"alipay-notify/internal/verify"
)

// maxGuesses is how many unproved causes a report has at most.
const maxGuesses = 5

// clues are what a guess goes by.
type clues struct {
	r      *reading
	s      *search
	fields []verify.Field
	text   string // all values, a bounded part of each
}

func (c *clues) get(name string) string {
	for _, f := range c.fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// heuristic is a cause that no repair can prove.
type heuristic struct {
	cause Cause
	when  func(*clues) bool
}

// heuristics stand in their rank: what the request shows before what can only
// be supposed.
var heuristics = []heuristic{
	{Cause{Code: "truncated", Fault: 18, What: "the body ends in the middle: an escape, JSON or sign is cut off",
		Try: "compare the length with the Content-Length that was sent; look for a size limit or a buffer on the way"}, truncated},
	{Cause{Code: "sm2", Fault: 5, What: "the signature has the form of SM2, which is not supported",
		Try: "set 接口加签方式 of the app to RSA2 in the console"}, sm2},
	{Cause{Code: "short_key", Fault: 5, What: "the signature is that of a 1024-bit key, as Alipay had before RSA2",
		Try: "set 接口加签方式 of the app to RSA2 in the console"}, func(c *clues) bool { return len(c.get("sign")) == 172 }},
	{Cause{Code: "masked", Fault: 0, What: "a value holds the asterisks of a masked log",
		Try: "explain the request as the receiver kept it, not as a log shows it"}, masked},
	{Cause{Code: "garbled", Fault: 13, What: "characters were replaced by '?' or U+FFFD: the text went through a charset that lacks them",
		Try: "find what transcodes the body; pass the bytes on as they came"}, garbled},
	{Cause{Code: "fields_lost", Fault: 10, What: "fields are missing that such a notification has",
		Try: "find what filters unknown or empty parameters; all of them are signed"}, func(c *clues) bool { return opened(c) && len(lost(c)) > 0 }},
	{Cause{Code: "broken_json", Fault: 8, What: "JSON is broken, as after an input filter or stripslashes",
		Try: "switch filters off for this address; " + rawBody}, brokenJSON},
	{Cause{Code: "json_sorted", Fault: 10, What: "the keys of the JSON are in alphabetical order: it may have been parsed and written again",
		Try: "never rebuild a value from parsed JSON before verifying; " + rawBody}, jsonSorted},
	{Cause{Code: "json_rebuilt", Fault: 10, What: "the form carries JSON, the commonest thing to be rebuilt with fields lost (TRADE_SUCCESS has it, WAIT_BUYER_PAY does not: row 20)",
		Try: "compare fund_bill_list, voucher_detail_list or biz_content with the sender's log, byte for byte"},
		func(c *clues) bool { return opened(c) && slices.ContainsFunc(c.fields, isJSONField) }},
	{Cause{Code: "extra_fields", Fault: 7, What: "undocumented fields stand in the form",
		Try: "find what adds them; Alipay adds fields, too, so this proves nothing"},
		func(c *clues) bool {
			return opened(c) && slices.ContainsFunc(c.fields, func(f verify.Field) bool { return !documented(f.Name) })
		}},
	{Cause{Code: "wrong_key", Fault: 12, What: "no known key made this signature: the key that is configured is not 支付宝公钥 of this app, or has been replaced",
		Try: "copy 支付宝公钥 (in certificate mode alipayCertPublicKey_RSA2.crt) of this app from the console again; 应用公钥 is another key"}, unopened},
	{Cause{Code: "sandbox_key", Fault: 12, What: "sandbox and production have a key each, and one may stand in the other's place",
		Try: "compare the environment that sent this with the one that the key was copied from"}, unopened},
	{Cause{Code: "sign_changed", Fault: 0, What: "sign itself was changed beyond repair",
		Try: "compare sign with the sender's log"}, unopened},
	{Cause{Code: "forged", Fault: 0, What: "it was not sent by Alipay",
		Try: "look at the source address, and whether other notifications of this app are taken"}, unopened},
	{Cause{Code: "sign_format", Fault: 1, What: "sign is not base64 of a signature",
		Try: "compare sign with the sender's log: 344 characters for a key of 2048 bits"}, unreadable},
}

func guess(c *clues) []Cause {
	var out []Cause
	for _, h := range heuristics {
		if h.when(c) {
			out = append(out, h.cause)
		}
	}
	return out
}

// opened: a known key made the signature, so the text is at fault.
func opened(c *clues) bool { return c.s.target != nil }

// unopened: sign reads as a signature, and no known key made it.
func unopened(c *clues) bool { return c.s.target == nil && !unreadable(c) && c.get("sign") != "" }

func unreadable(c *clues) bool {
	sign := c.get("sign")
	if c.s.target != nil || sign == "" {
		return false
	}
	for _, r := range readings(sign) {
		if slices.ContainsFunc(c.s.keys, func(k knownKey) bool { return k.Key.Size() == len(r.sig) }) || len(c.s.keys) == 0 {
			return false
		}
	}
	return true
}

func truncated(c *clues) bool {
	body := c.r.in.Body
	if n := len(body); n > 0 && (body[n-1] == '%' || n > 1 && body[n-2] == '%') {
		return true
	}
	if len(c.fields) == 0 {
		return false
	}
	switch last := c.fields[len(c.fields)-1]; {
	case last.Name == "sign":
		n := len(last.Value)
		return c.s.target == nil && (n%4 != 0 || n < 172)
	case looksJSON(last.Value):
		return cutShort(last.Value)
	}
	return c.get("sign") == ""
}

// cutShort tells JSON that ends too early from JSON that is broken.
func cutShort(s string) bool {
	if len(s) > maxShown {
		return false
	}
	dec := json.NewDecoder(strings.NewReader(s))
	var v json.RawMessage
	return errors.Is(dec.Decode(&v), io.ErrUnexpectedEOF)
}

// sm2 looks for a DER pair of two 256-bit numbers.
func sm2(c *clues) bool {
	if strings.EqualFold(c.get("sign_type"), "SM2") {
		return true
	}
	sign := c.get("sign")
	if len(sign) < 88 || len(sign) > 100 {
		return false
	}
	der, err := base64.StdEncoding.DecodeString(sign)
	return err == nil && len(der) > 2 && der[0] == 0x30 && int(der[1]) == len(der)-2
}

func masked(c *clues) bool {
	for _, f := range c.fields {
		text := f.Value[:min(len(f.Value), maxClue)]
		if f.Name != "buyer_logon_id" && !strings.Contains(text, "logon_id") && strings.Contains(text, "***") {
			return true
		}
	}
	return false
}

func garbled(c *clues) bool {
	return strings.Contains(c.text, "\ufffd") || strings.Contains(c.text, "???")
}

// lost names the fields that every notification of this shape has.
func lost(c *clues) []string {
	always := []string{"charset", "version", "sign_type", "notify_id", "app_id"}
	switch {
	case c.get("service") != "":
		always = []string{"charset", "sign_type", "biz_content"}
	case c.get("msg_method") != "":
		always = append(always, "utc_timestamp", "biz_content")
	case c.get("notify_type") == "trade_status_sync":
		always = append(always, "notify_time", "trade_no", "out_trade_no", "trade_status", "subject", "total_amount")
	}
	return slices.DeleteFunc(always, func(name string) bool { return c.get(name) != "" })
}

func isJSONField(f verify.Field) bool { return looksJSON(f.Value) }

func brokenJSON(c *clues) bool {
	return slices.ContainsFunc(c.fields, func(f verify.Field) bool {
		return looksJSON(f.Value) && len(f.Value) <= maxShown && !json.Valid([]byte(f.Value)) && !cutShort(f.Value)
	})
}

// jsonSorted looks for an object of at least four keys in alphabetical order.
func jsonSorted(c *clues) bool {
	return opened(c) && slices.ContainsFunc(c.fields, func(f verify.Field) bool {
		if !strings.HasPrefix(f.Value, "{") || len(f.Value) > maxShown {
			return false
		}
		dec := json.NewDecoder(strings.NewReader(f.Value))
		if _, err := dec.Token(); err != nil {
			return false
		}
		var names []string
		for dec.More() {
			t, err := dec.Token()
			name, ok := t.(string)
			var v json.RawMessage
			if err != nil || !ok || dec.Decode(&v) != nil {
				return false
			}
			names = append(names, name)
		}
		return len(names) >= 4 && slices.IsSorted(names)
	})
}

// maxClue bounds what is looked at of one value.
const maxClue = 64 << 10

func texts(fields []verify.Field) string {
	var b strings.Builder
	for _, f := range fields {
		if f.Name != "sign" {
			b.WriteString(f.Value[:min(len(f.Value), maxClue)])
			b.WriteByte('\n')
		}
	}
	return b.String()
}
