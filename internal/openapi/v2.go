package openapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// gatewayPath is where gateway.do lies.
const gatewayPath = "/gateway.do"

// beijing is the time zone of gateway.do's timestamps.
var beijing = time.FixedZone("Beijing", 8*60*60)

// reserved are the public parameters that this client sets itself.
var reserved = []string{
	"app_id", "method", "format", "charset", "sign_type", "sign", "timestamp", "version", "app_auth_token",
	"app_cert_sn", "alipay_root_cert_sn", "encrypt_type", "biz_content",
}

// layOutV2 puts public parameters beside biz_content and everything else into it.
func (c *Client) layOutV2(p *call, r Request, params []param) error {
	p.op.Verb, p.uri = http.MethodPost, gatewayPath
	p.public = maps.Clone(r.Public)
	if p.public == nil {
		p.public = make(map[string]string)
	}
	for name := range p.public {
		if slices.Contains(reserved, name) || !methodName.MatchString("a."+name) {
			return errors.New("a public parameter has a name that is not free, or no name")
		}
	}
	var body []param
	for _, q := range params {
		i := slices.IndexFunc(p.op.Fields, func(f Field) bool { return f.public && f.Name == q.name })
		if i < 0 {
			body = append(body, q)
			continue
		}
		p.public[q.name] = q.text()
		if p.op.Fields[i].token {
			p.secrets = append(p.secrets, Secret(q.text()))
		}
	}
	if token := p.public["auth_token"]; token != "" {
		p.secrets = append(p.secrets, Secret(token))
	}
	if len(body) > 0 {
		p.plain = object(body)
	}
	if c.cfg.Charset == GBK {
		p.plain = ascii(p.plain)
		for _, value := range p.public {
			if string(ascii([]byte(value))) != value {
				return errors.New("a public parameter is not ASCII, which GBK requests must be")
			}
		}
	}
	return nil
}

// signingString is what gateway.do signs of a request: every parameter but sign
// and the empty ones, sign_type among them, in the byte order of the names, and
// nothing escaped (4.2).
func signingString(params map[string]string) []byte {
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if params[name] == "" || name == "sign" {
			continue
		}
		if len(b) > 0 {
			b = append(b, '&')
		}
		b = append(append(append(b, name...), '='), params[name]...)
	}
	return b
}

// signedV2 makes the HTTP request of one attempt. Public parameters go into the
// query, because the gateway reads the charset there before it reads the body.
func (c *Client) signedV2(ctx context.Context, p *call) (*http.Request, error) {
	params := map[string]string{
		"app_id": c.cfg.AppID, "method": p.op.Method, "format": "JSON", "charset": string(c.cfg.Charset), "sign_type": "RSA2",
		"timestamp": c.cfg.Now().In(beijing).Format(time.DateTime), "version": "1.0", "app_auth_token": string(p.token),
		"app_cert_sn": c.cfg.AppCertSN, "alipay_root_cert_sn": c.cfg.RootCertSN, "biz_content": string(p.body),
	}
	maps.Copy(params, p.public)
	if p.encrypt {
		params["encrypt_type"] = "AES"
	}
	sign, err := c.sign(signingString(params))
	if err != nil {
		return nil, err
	}
	params["sign"] = sign
	var query []string
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if params[name] != "" && name != "biz_content" {
			query = append(query, escape(name)+"="+escape(params[name]))
		}
	}
	var body string
	if content := params["biz_content"]; content != "" {
		body = "biz_content=" + escape(content)
	}
	url := c.cfg.BaseURL + gatewayPath + "?" + strings.Join(query, "&")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return nil, errors.New("the URL cannot be sent") // the cause quotes it
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset="+string(c.cfg.Charset))
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// said is the head of every node of gateway.do.
type said struct {
	Code    json.RawMessage `json:"code"`
	Msg     string          `json:"msg"`
	SubCode string          `json:"sub_code"`
	SubMsg  string          `json:"sub_msg"`
}

func (s said) code() string { return strings.Trim(string(s.Code), `"`) }

// envelope is an answer of gateway.do, taken apart.
type envelope struct {
	node   []byte // as it came
	failed bool   // it is error_response
	sign   string
	sn     string
}

// takeApart finds the node of the method, or error_response, among the outermost
// members; what is called sign further inside is not the signature.
func takeApart(p *call, body []byte) (envelope, error) {
	all, err := members(body)
	if err != nil {
		return envelope{}, err
	}
	var out envelope
	name := strings.ReplaceAll(p.op.Method, ".", "_") + "_response"
	for _, m := range all {
		switch m.name {
		case name, "error_response":
			if out.node != nil {
				return envelope{}, fmt.Errorf("%w: it has two nodes", errShape)
			}
			out.node, out.failed = m.raw, m.name == "error_response"
		case "sign":
			err = json.Unmarshal(m.raw, &out.sign)
		case "alipay_cert_sn":
			err = json.Unmarshal(m.raw, &out.sn)
		}
		if err != nil {
			return envelope{}, fmt.Errorf("%w: %s is no string", errShape, m.name)
		}
	}
	if out.node == nil {
		return envelope{}, fmt.Errorf("%w with the node %s or error_response", errShape, name)
	}
	return out, nil
}

// openV2 makes a response of an answer, or an error. The status is 200 even for
// errors. Unsigned is legal only when the code is not 10000 (4.2).
func (c *Client) openV2(p *call, a answer) (Response, *Error) {
	env, err := takeApart(p, a.body)
	if err != nil {
		if e := a.unreadable(p); e != nil {
			return Response{}, e
		}
		return Response{}, a.fail(p, byStatus(a.status), err)
	}
	node, proof, err := c.proveNode(env)
	if env.sign != "" && err != nil {
		return Response{}, p.untrusted(a, err)
	}
	unsigned := env.sign == ""
	if unsigned {
		node = env.node
	}
	encrypted := len(node) > 0 && node[0] == '"'
	if unsigned && encrypted {
		return Response{}, p.untrusted(a, errUnsigned) // before verifying, nothing is decrypted
	}
	if encrypted {
		if node, err = c.decryptNode(node); err != nil {
			return Response{}, p.untrusted(a, err)
		}
	}
	var head said
	if err := json.Unmarshal(c.diagnostic(node), &head); err != nil || !isObject(node) {
		if _, err = c.toUTF8(node); err == nil {
			err = errShape
		}
		return Response{}, a.fail(p, byStatus(a.status), err)
	}
	failed := env.failed || head.code() != "10000" && (head.code() != "" || head.SubCode != "")
	if !failed && unsigned {
		return Response{}, p.untrusted(a, errUnsigned)
	}
	if !failed && a.status == http.StatusOK {
		return c.data(p, a, node, proof)
	}
	e := a.fail(p, "", nil)
	e.Authenticated = !unsigned
	e.Code, e.SubCode = oneLine(shorten(head.code(), 128)), oneLine(shorten(head.SubCode, 128))
	e.Message = oneLine(redact(strings.Trim(head.Msg+": "+head.SubMsg, ": "), p.secrets...))
	e.Kind = kindOf(a.status, e.Code, e.SubCode)
	return Response{}, e
}

// proveNode verifies the node as it came, and, as the documents advise, with its
// slashes written the other way. What is used is the text that was verified: the
// two ways are the same JSON only as long as nobody meddled with backslashes.
func (c *Client) proveNode(env envelope) ([]byte, proof, error) {
	p, err := c.verify(env.node, env.sign, env.sn)
	if err == nil || !bytes.Contains(env.node, []byte("/")) {
		return env.node, p, err
	}
	bare := bytes.ReplaceAll(env.node, []byte(`\/`), []byte("/"))
	for _, other := range [][]byte{bare, bytes.ReplaceAll(bare, []byte("/"), []byte(`\/`))} {
		if p, again := c.verify(other, env.sign, env.sn); again == nil {
			return other, p, nil
		}
	}
	return nil, proof{}, err
}

// decryptNode opens an encrypted node, a string whose quotes were signed too.
func (c *Client) decryptNode(node []byte) ([]byte, error) {
	var text string
	if err := json.Unmarshal(node, &text); err != nil {
		return nil, fmt.Errorf("%w: it is not base64", errDecrypt)
	}
	return c.decrypt([]byte(text))
}
