package openapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scheme begins the Authorization header of v3. RSA2 is the only algorithm that
// v3 and this client share (4.1).
const scheme = "ALIPAY-SHA256withRSA"

// maxAge is how old a signed answer may be, and how far in the future: Alipay's
// own limit for requests. The signature covers no part of the request, so an old
// answer could be sent again to another question.
const maxAge = 10 * time.Minute

// layOutV3 puts each parameter where v3 wants it. The URL is built once: what is
// signed must be what goes on the wire, to the byte.
func layOutV3(p *call, r Request, params []param) error {
	if len(r.Public) > 0 {
		return errors.New("public parameters belong to gateway.do")
	}
	path := p.op.Path
	var query []string
	var body []param
	for _, q := range params {
		hole := "{" + q.name + "}"
		secret := slices.ContainsFunc(p.op.Fields, func(f Field) bool { return f.token && f.Name == q.name })
		if secret {
			p.secrets = append(p.secrets, Secret(q.text()))
		}
		switch {
		case strings.Contains(path, hole):
			value := q.text()
			if q.empty() || value == "." || value == ".." {
				return fmt.Errorf("%s stands in the path and must not be empty or dots", q.name)
			}
			path = strings.ReplaceAll(path, hole, escape(value))
		case secret, bodyless(p.op.Verb):
			if !q.empty() {
				query = append(query, escape(q.name)+"="+escape(q.text()))
			}
		default:
			body = append(body, q)
		}
	}
	if missing := inPath.FindStringSubmatch(path); missing != nil {
		return fmt.Errorf("%s is required: it stands in the path", missing[1])
	}
	if strings.ContainsAny(path, "{}") {
		return errors.New("the path holds a brace that is no parameter")
	}
	p.uri = path
	if len(query) > 0 {
		p.uri += "?" + strings.Join(query, "&")
	}
	if !bodyless(p.op.Verb) {
		p.plain = object(body)
	}
	return nil
}

// stringToSign is what v3 signs of a request: each part ends with a line feed,
// the body's line stays where there is none, and the token's line is there only
// with its header (4.1).
func stringToSign(auth, verb, uri string, body []byte, token Secret) []byte {
	b := fmt.Appendf(nil, "%s\n%s\n%s\n%s\n", auth, verb, uri, body)
	if token != "" {
		b = fmt.Appendf(b, "%s\n", string(token))
	}
	return b
}

// signedV3 makes the HTTP request of one attempt, with a time and a nonce of its own.
func (c *Client) signedV3(ctx context.Context, p *call, id string) (*http.Request, error) {
	auth := "app_id=" + c.cfg.AppID
	if c.cfg.AppCertSN != "" {
		auth += ",app_cert_sn=" + c.cfg.AppCertSN
	}
	auth += ",nonce=" + c.nonce() + ",timestamp=" + strconv.FormatInt(c.cfg.Now().UnixMilli(), 10)

	req, err := http.NewRequestWithContext(ctx, p.op.Verb, c.cfg.BaseURL+p.uri, bytes.NewReader(p.body))
	if err != nil || req.URL.RequestURI() != p.uri {
		return nil, errors.New("the URL cannot be sent as it is signed") // the cause quotes it
	}
	sign, err := c.sign(stringToSign(auth, p.op.Verb, p.uri, p.body, p.token))
	if err != nil {
		return nil, err
	}
	h := req.Header
	h.Set("Authorization", scheme+" "+auth+",sign="+sign)
	h.Set("Accept", "application/json")
	h.Set("alipay-request-id", id)
	if len(p.body) > 0 {
		h.Set("Content-Type", "application/json")
	}
	if p.encrypt {
		h.Set("Content-Type", "text/plain")
		h.Set("alipay-encrypt-type", "AES")
	}
	if p.token != "" {
		h.Set("alipay-app-auth-token", string(p.token))
	}
	if c.cfg.RootCertSN != "" {
		h.Set("alipay-root-cert-sn", c.cfg.RootCertSN)
	}
	return req, nil
}

// openV3 makes a response of an answer, or an error. Nothing of the answer gets
// out as data before its signature is verified.
func (c *Client) openV3(p *call, a answer) (Response, *Error) {
	sign := a.header.Get("alipay-signature")
	if strings.EqualFold(sign, "null") { // some of Alipay's errors (4.1)
		sign = ""
	}
	stamp := a.header.Get("alipay-timestamp")
	text := fmt.Appendf(nil, "%s\n%s\n%s\n", stamp, a.header.Get("alipay-nonce"), a.body)
	proof, err := c.verify(text, sign, a.header.Get("alipay-sn"))
	success := a.status >= 200 && a.status < 300 && a.status != http.StatusAccepted
	if err != nil && (success || sign != "") {
		if e := a.unreadable(p); e != nil && sign == "" && len(a.body) > 0 { // it does not even claim to be Alipay's
			return Response{}, e
		}
		return Response{}, p.untrusted(a, err)
	}
	if age := c.age(stamp); err == nil && (age > maxAge || age < -maxAge) {
		err = fmt.Errorf("the answer was signed %s: it is an old one, or this machine's clock is wrong", ago(age))
		if success {
			return Response{}, p.untrusted(a, err)
		}
	}
	if success {
		resp, e := c.data(p, a, a.body, proof)
		if e == nil && isError(resp.Data) { // the signature does not cover the status
			a.body = resp.Data
			return Response{}, c.errorV3(p, a, true)
		}
		return resp, e
	}
	return Response{}, c.errorV3(p, a, err == nil)
}

// isError tells whether a body is that of an error, and nothing else.
func isError(body []byte) bool {
	all, err := members(body)
	code := false
	for _, m := range all {
		switch m.name {
		case "code":
			code = true
		case "message", "links":
		default:
			return false
		}
	}
	return err == nil && code
}

// errorV3 reads {code, message, links} (4.1). An unsigned one is a diagnostic.
func (c *Client) errorV3(p *call, a answer, authenticated bool) *Error {
	var said struct {
		Code    string          `json:"code"`
		Message string          `json:"message"`
		Links   json.RawMessage `json:"links"`
	}
	if a.status == http.StatusAccepted {
		e := a.fail(p, Uncertain, errors.New("Alipay took the request and has not handled it yet")) //nolint:staticcheck // Alipay is a name
		e.Authenticated = authenticated
		return e
	}
	body := a.body
	if authenticated && !isObject(body) {
		if plain, err := c.decrypt(body); err == nil {
			body = plain
		}
	}
	if err := json.Unmarshal(c.diagnostic(body), &said); err != nil || said.Code == "" {
		if e := a.unreadable(p); e != nil {
			return e
		}
		return a.fail(p, byStatus(a.status), fmt.Errorf("HTTP status %d without an error code", a.status))
	}
	e := a.fail(p, "", nil)
	e.Authenticated = authenticated
	e.Code = oneLine(shorten(said.Code, 128))
	e.Message = oneLine(redact(said.Message, p.secrets...))
	e.Links = links(said.Links)
	e.Kind = kindOf(a.status, e.Code, "")
	return e
}

// links reads the links of an error, of which there are three shapes.
func links(raw json.RawMessage) []string {
	var many []struct {
		Link string `json:"link"`
	}
	var one string
	if json.Unmarshal(raw, &one) == nil && one != "" {
		return []string{oneLine(one)}
	}
	if json.Unmarshal(raw, &many) != nil {
		return nil
	}
	var out []string
	for _, l := range many {
		if l.Link != "" && len(out) < 8 {
			out = append(out, oneLine(l.Link))
		}
	}
	return out
}

// age is how long ago an answer was signed; 0 when its time cannot be read, which
// its signature covers all the same.
func (c *Client) age(stamp string) time.Duration {
	n, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || len(stamp) != 13 {
		return 0
	}
	return c.cfg.Now().Sub(time.UnixMilli(n))
}

func ago(d time.Duration) string {
	if d < 0 {
		return (-d).Round(time.Second).String() + " from now"
	}
	return d.Round(time.Second).String() + " ago"
}
