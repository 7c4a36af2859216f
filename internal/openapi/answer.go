package openapi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// answer is one HTTP answer, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
	skew   time.Duration // our clock against its Date
}

// Response is an answer that was proved to be Alipay's.
type Response struct {
	Method  string
	Gateway Gateway
	Data    json.RawMessage // verified, decrypted, UTF-8: an object with every field that Alipay sent

	Status    int
	TraceID   string
	RequestID string // ours (v3 alone)
	KeyID     string // the key that verified it
	Attempts  int    // how many were sent

	// RotatedSN is set when the answer names a certificate that is not configured
	// while a configured key still verifies it: Alipay has renewed its
	// certificate. Load the new one before the old key goes.
	RotatedSN string
}

// data makes a response of a body that was verified.
func (c *Client) data(p *call, a answer, body []byte, by proof) (Response, *Error) {
	body = bytes.TrimSpace(body)
	var err error
	switch {
	case len(body) == 0: // 204, and operations that answer nothing
		body = []byte("{}")
	case p.gateway == V3 && body[0] != '{':
		if body, err = c.decrypt(body); err != nil {
			return Response{}, p.untrusted(a, err)
		}
	}
	if p.gateway == V2 {
		if body, err = c.toUTF8(body); err != nil {
			return Response{}, a.fail(p, Garbled, err)
		}
	}
	if !valid(body) {
		return Response{}, a.fail(p, Garbled, fmt.Errorf("%w in UTF-8, though its signature is good", errShape))
	}
	return Response{
		Method: p.op.Method, Gateway: p.gateway, Data: body, Status: a.status, TraceID: a.trace(),
		KeyID: by.keyID, RotatedSN: by.rotated,
	}, nil
}

// toUTF8 decodes what gateway.do answers, in the charset that was asked for:
// that of the answer's header is not signed.
func (c *Client) toUTF8(body []byte) ([]byte, error) {
	if c.cfg.Charset != GBK {
		return body, nil
	}
	out, err := c.fromGBK(body)
	if err != nil {
		return nil, err
	}
	if bytes.ContainsRune(out, utf8.RuneError) {
		return nil, errors.New("the answer is not GBK")
	}
	return out, nil
}

func (c *Client) fromGBK(body []byte) ([]byte, error) {
	if c.cfg.FromGBK == nil {
		if utf8.Valid(body) && len(body) == len(ascii(body)) { // ASCII is the same in both
			return body, nil
		}
		return nil, errors.New("the answer is in GBK, which this client was not given a decoder for")
	}
	out, err := c.cfg.FromGBK(body)
	if err != nil {
		return nil, errors.New("the answer is not GBK")
	}
	return out, nil
}

// diagnostic makes text for people of what may be UTF-8, GBK or neither: the
// gateway answers in GBK when it could not read which charset was asked for.
func (c *Client) diagnostic(body []byte) []byte {
	if c.cfg.Charset == UTF8 && utf8.Valid(body) {
		return body
	}
	if out, err := c.fromGBK(body); err == nil {
		return out
	}
	return bytes.ToValidUTF8(body, []byte("?"))
}

// fail makes an error of this answer.
func (a answer) fail(p *call, kind Kind, err error) *Error {
	e := p.fail(kind, err)
	e.Status, e.TraceID, e.Skew = a.status, a.trace(), a.skew
	e.retryAfter = a.retryAfter()
	return e
}

func (a answer) trace() string {
	return label(cmp.Or(a.header.Get("alipay-trace-id"), a.header.Get("trace_id")))
}

// untrusted drops an answer that is not proved. Nothing of it is shown.
func (p *call) untrusted(a answer, err error) *Error {
	e := a.fail(p, Untrusted, err)
	switch {
	case errors.Is(err, errRotated):
		e.Hint = "download alipayCertPublicKey_RSA2.crt from the console again and add it"
	case errors.Is(err, errUnsigned):
		e.Hint = "a success is always signed: look for a proxy on the way, and at the base URL"
	case errors.Is(err, errDecrypt):
		e.Hint = "compare the AES key with that of the console (接口内容加密方式)"
	case errors.Is(err, errSignature):
		e.Hint = "compare the configured key with Alipay's public key (支付宝公钥) in the console, of the same app and environment; " +
			"else somebody on the way changes answers"
	}
	return e
}

// unreadable says why an answer is none, or nil when it looks like JSON.
func (a answer) unreadable(p *call) *Error {
	body := bytes.TrimSpace(a.body)
	var err error
	switch {
	case a.status >= 300 && a.status < 400:
		err = errors.New("the answer redirects, which is never followed")
	case len(body) == 0:
		err = errors.New("the answer is empty")
	case body[0] == '<':
		err = errors.New("the answer is HTML instead of JSON: that is not Alipay's gateway but something before it")
	default:
		if _, err = members(body); err == nil {
			return nil
		}
	}
	return a.fail(p, byStatus(a.status), err)
}

// retryAfter is how long the answer asks us to wait.
func (a answer) retryAfter() time.Duration {
	value := strings.TrimSpace(a.header.Get("Retry-After"))
	if n, err := strconv.Atoi(value); err == nil && n > 0 {
		return min(time.Duration(min(n, 3600))*time.Second, maxPause)
	}
	if at, err := http.ParseTime(value); err == nil {
		if date, err := http.ParseTime(a.header.Get("Date")); err == nil { // their clock against their clock
			return min(max(0, at.Sub(date)), maxPause)
		}
	}
	return 0
}
