package openapi

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"strings"
)

// Request is one call. Params are all parameters, wherever the protocol puts
// them: a struct of this package, a map, or JSON.
type Request struct {
	Method  string  // Alipay's name
	Params  any     // becomes one JSON object; nil: none
	Gateway Gateway // empty: V3

	// For methods that the operation table does not have.
	Verb   string // v3: how and where to; gateway.do needs neither
	Path   string // begins with /v3/; {name} is replaced by the parameter
	Effect Effect // empty: Read for names that end in some query, else Write
	Repeat string // the field that makes a repeat harmless; empty: writes are not repeated

	Public       map[string]string // gateway.do: public parameters beside biz_content, as notify_url
	AppAuthToken Secret            // ISVs: instead of that of the Config
	Encrypt      bool              // encrypt the body (接口内容加密)
}

// Plan is what a call would send, for dry runs. It holds the parameters, which
// may be personal, and no token.
type Plan struct {
	Method  string
	Gateway Gateway
	Effect  Effect
	Verb    string
	URL     string            // a user's token in it is masked; gateway.do: without the public parameters
	Public  map[string]string // gateway.do: public parameters of the call's own, tokens masked
	Body    string            // v3: the body; gateway.do: biz_content. As it is before encryption
	Encrypt bool              // whether it is encrypted
	Repeat  string            // the field that makes a repeat harmless
	Number  string            // and its value
	Unknown []string          // parameters that Alipay's documents do not name: perhaps new, perhaps misspelt
	Causes  string            // the notification that should follow, as entity.action
}

// call is a request that has been checked and laid out, before it is signed.
type call struct {
	op      Operation
	gateway Gateway
	uri     string // v3: path and query, exactly as they go on the wire
	plain   []byte // v3: the body; gateway.do: biz_content
	body    []byte // the same, encrypted where that was asked for
	public  map[string]string
	encrypt bool
	token   Secret // app_auth_token
	secrets []Secret
	number  string
	unknown []string
	known   bool
}

// Plan checks a request and says what would be sent, and sends nothing. The
// error is that of Call, of the kind Invalid.
func (c *Client) Plan(r Request) (Plan, error) {
	p, err := c.prepare(r)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{
		Method: p.op.Method, Gateway: p.gateway, Effect: p.op.Effect, Verb: p.op.Verb, URL: c.cfg.BaseURL + p.uri,
		Public: maps.Clone(p.public), Body: string(p.plain), Encrypt: p.encrypt,
		Repeat: p.op.Repeat, Number: p.number, Unknown: p.unknown, Causes: p.op.Causes,
	}
	for _, s := range p.secrets {
		if s == "" { // it would be found between any two characters
			continue
		}
		plan.URL = strings.ReplaceAll(plan.URL, escape(string(s)), masked)
		for name, value := range plan.Public {
			plan.Public[name] = redact(value, s)
		}
	}
	return plan, nil
}

var (
	methodName = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$`)
	pathName   = regexp.MustCompile(`^/v3/[A-Za-z0-9_./{}-]+$`)
)

// prepare checks everything that can be known without sending.
func (c *Client) prepare(r Request) (*call, *Error) {
	p := &call{gateway: cmp.Or(r.Gateway, V3), token: cmp.Or(r.AppAuthToken, c.cfg.AppAuthToken)}
	op, err := r.operation(p.gateway)
	p.op = op
	if err != nil {
		return nil, p.invalid(err)
	}
	_, p.known = Lookup(r.Method)
	params, err := parseParams(r.Params)
	if err == nil {
		err = op.check(params)
	}
	if err != nil {
		return nil, p.invalid(err)
	}
	if n, given := get(params, op.Repeat); given {
		p.number = n.text()
	}
	for _, q := range params {
		if p.known && !op.knows(q.name) {
			p.unknown = append(p.unknown, q.name)
		}
	}
	if p.token != "" && !tokenish.MatchString(string(p.token)) {
		return nil, p.invalid(errors.New("app_auth_token is not one line of printable ASCII"))
	}
	p.secrets = append(p.secrets, p.token)
	if p.gateway == V2 {
		err = c.layOutV2(p, r, params)
	} else {
		err = layOutV3(p, r, params)
	}
	if err == nil {
		err = c.encryptBody(p, r)
	}
	if err != nil {
		return nil, p.invalid(err)
	}
	return p, nil
}

// operation is the row of the table, or one made of what the request says.
func (r Request) operation(gateway Gateway) (Operation, error) {
	named := Operation{Method: label(r.Method), Effect: cmp.Or(r.Effect, effectByName(r.Method))}
	if gateway != V3 && gateway != V2 {
		return named, fmt.Errorf("unknown gateway: want %s or %s", V3, V2)
	}
	if !methodName.MatchString(r.Method) || len(r.Method) > 128 {
		return named, errors.New("the method is not a name as alipay.marketing.card.query")
	}
	if r.Effect != "" && r.Effect != Read && r.Effect != Write {
		return named, fmt.Errorf("unknown effect: want %s or %s", Read, Write)
	}
	if op, ok := Lookup(r.Method); ok {
		if r.Verb != "" && r.Verb != op.Verb || r.Path != "" && r.Path != op.Path {
			return op, fmt.Errorf("this method is %s %s", op.Verb, op.Path)
		}
		return op, nil
	}
	named.Repeat = r.Repeat
	if gateway == V2 {
		return named, nil
	}
	named.Verb, named.Path = r.Verb, r.Path
	switch r.Verb {
	case "GET", "POST", "PUT", "PATCH", "DELETE":
	default:
		hint := "call it over gateway.do, or name its verb and path"
		if near := nearest(r.Method); near != "" {
			hint = "is it " + near + "? Else " + hint
		}
		return named, fmt.Errorf("unknown operation: %s", hint)
	}
	if !pathName.MatchString(r.Path) || strings.Contains(r.Path, "..") {
		return named, errors.New("the path must begin with /v3/ and hold no query")
	}
	return named, nil
}

// invalid says that nothing was sent because the request is wrong.
func (p *call) invalid(err error) *Error {
	e := p.fail(Invalid, err)
	e.Hint = "nothing was sent: correct the request"
	return e
}

// fail makes an error of this call.
func (p *call) fail(kind Kind, err error) *Error {
	return &Error{Kind: kind, Method: p.op.Method, Gateway: p.gateway, Write: p.op.Effect == Write, Repeat: p.op.Repeat, Err: err}
}

// encryptBody replaces the body by its ciphertext where that is wanted. The
// signature covers the ciphertext (3.4).
func (c *Client) encryptBody(p *call, r Request) error {
	p.body = p.plain
	p.encrypt = (r.Encrypt || c.cfg.Encrypt) && len(p.plain) > 0
	if !p.encrypt {
		return nil
	}
	if len(c.aes) == 0 {
		return errors.New("encryption was asked for, and no AES key is configured")
	}
	p.body = encrypt(c.aes[0], p.plain)
	return nil
}

// escape percent-encodes everything but the unreserved characters, a space as
// %20: a + would be a space to some and a plus to others.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
