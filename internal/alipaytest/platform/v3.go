package platform

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"alipay-notify/internal/alipaytest"
)

// The v3 protocol, PROTOCOL.md 4.1.

const (
	scheme      = "ALIPAY-SHA256withRSA"
	maxSkew     = 10 * time.Minute
	maxBody     = 1 << 20
	longestSign = 1024
)

var requestID = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,32}$`)

// authorization is what stands in the header of that name.
type authorization struct {
	signed string // as it stands, without the scheme and sign
	fields map[string]string
	sign   string
}

func parseAuthorization(header string) (authorization, *problem) {
	var a authorization
	if header == "" {
		return a, refuse("missing-timestamp", "") // not missing-signature: PROTOCOL.md 4.1, probe
	}
	name, rest, _ := strings.Cut(header, " ")
	if name != scheme {
		return a, refuse("invalid-signature-type", "")
	}
	var ok bool
	if a.signed, a.sign, ok = strings.Cut(rest, ",sign="); !ok || a.sign == "" || len(a.sign) > longestSign {
		return a, refuse("missing-signature", "")
	}
	a.fields = map[string]string{}
	for pair := range strings.SplitSeq(a.signed, ",") {
		name, value, ok := strings.Cut(pair, "=")
		if _, twice := a.fields[name]; !ok || twice || value == "" {
			return a, refuse("invalid-parameter", "Authorization格式错误")
		}
		a.fields[name] = value
	}
	return a, nil
}

// fresh checks the timestamp against a clock.
func (a authorization) fresh(now time.Time) *problem {
	stamp := a.fields["timestamp"]
	if stamp == "" {
		return refuse("missing-timestamp", "")
	}
	ms, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return refuse("invalid-timestamp", "应为毫秒时间戳")
	}
	age := now.Sub(time.UnixMilli(ms))
	if age.Abs() > maxSkew {
		return refuse("invalid-timestamp", "与服务器时间相差超过10分钟")
	}
	if s, ok := a.fields["expired_seconds"]; ok {
		seconds, err := strconv.Atoi(s)
		if err != nil || seconds <= 0 {
			return refuse("invalid-parameter", "expired_seconds格式错误")
		}
		if age > time.Duration(seconds)*time.Second {
			return refuse("invalid-timestamp", "请求已过期")
		}
	}
	return nil
}

// signedV3 is the text that a v3 request signs.
func signedV3(r *http.Request, signed string, body []byte) []byte {
	uri := r.RequestURI
	if !strings.HasPrefix(uri, "/") { // by a proxy's form, or made in process
		uri = r.URL.RequestURI()
	}
	lines := signed + "\n" + verbOf(r) + "\n" + uri + "\n" + string(body) + "\n"
	if token := r.Header.Get("alipay-app-auth-token"); token != "" {
		lines += token + "\n"
	}
	return []byte(lines)
}

// prove finds the app that has signed the request, or why there is none.
func (p *Platform) prove(r *http.Request, body []byte, now time.Time) (*app, *problem) {
	auth, prob := parseAuthorization(r.Header.Get("Authorization"))
	if prob == nil {
		prob = auth.fresh(now)
	}
	if prob != nil {
		return nil, prob
	}
	a := p.apps[auth.fields["app_id"]]
	switch id, token := r.Header.Get("alipay-request-id"), r.Header.Get("alipay-app-auth-token"); {
	case auth.fields["app_id"] == "":
		return nil, refuse("missing-app-id", "")
	case a == nil:
		return nil, refuse("invalid-app-id", "")
	case auth.fields["nonce"] == "":
		return nil, refuse("invalid-parameter", "缺少nonce")
	case id != "" && !requestID.MatchString(id):
		return nil, refuse("invalid-parameter", "alipay-request-id格式错误")
	case token != "" && token != a.AuthToken:
		return nil, refuse("invalid-app-auth-token", "")
	}
	if prob := p.checkCerts(a, auth.fields["app_cert_sn"], r.Header.Get("alipay-root-cert-sn")); prob != nil {
		return nil, prob
	}
	if !alipaytest.VerifyBytes(a.Public, signedV3(r, auth.signed, body), auth.sign, alipaytest.RSA2) {
		prob := refuse("invalid-signature", "")
		if p.whimsical() { // the documentation says 400 here, and 401 there
			prob.status = http.StatusUnauthorized
		}
		return nil, prob
	}
	// After the signature, so that a stranger cannot use up a nonce.
	if !p.firstUse(a.ID+" "+auth.fields["nonce"], now) {
		return nil, refuse("suspected-attack", "nonce重复")
	}
	return a, nil
}

// checkCerts checks which certificates the caller names (PROTOCOL.md 4.1).
func (p *Platform) checkCerts(a *app, certSN, rootSN string) *problem {
	switch {
	case a.certSN == "" && certSN == "":
		return nil
	case certSN == "":
		return refuse("missing-app-cert-sn", "")
	case certSN != a.certSN:
		return refuse("app-cert-not-exist", "")
	case rootSN == "":
		return refuse("missing-alipay-root-cert-sn", "")
	case rootSN != p.rootSN:
		return refuse("invalid-alipay-root-cert-sn", "")
	}
	return nil
}

// acceptV3 makes a call of a request, and tells whether it was encrypted.
func (p *Platform) acceptV3(r *http.Request, op *operation, params object, body []byte, now time.Time) (c *call, encrypted bool, prob *problem) {
	a, prob := p.prove(r, body, now)
	if prob != nil {
		return nil, false, prob
	}
	if op == nil {
		return nil, false, refuse("invalid-method", "")
	}
	c = &call{op: op, app: a, params: params, at: time.Now()}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	encrypted = r.Header.Get("alipay-encrypt-type") != ""
	switch {
	case encrypted && r.Header.Get("alipay-encrypt-type") != "AES":
		return c, false, refuse("invalid-encrypt-type", "")
	case encrypted && a.AESKey == nil:
		return c, false, refuse("missing-encrypt-key", "")
	case len(body) == 0:
	case encrypted && kind != "text/plain", !encrypted && kind != "application/json":
		return c, encrypted, refuse("invalid-format", "Content-Type")
	case encrypted:
		var err error
		if body, err = alipaytest.DecryptAES(a.AESKey, string(body)); err != nil {
			return c, false, refuse("decryption-error-unknown", "")
		}
	}
	given, err := parseObject(body)
	if err != nil {
		return c, encrypted, refuse("illegal-json", "")
	}
	for name, value := range given {
		if _, inPath := c.params[name]; !inPath { // the path decides
			c.params[name] = value
		}
	}
	return c, encrypted, c.addQuery(r.URL.RawQuery)
}

// addQuery takes parameters from the URL, where numbers are texts.
func (c *call) addQuery(raw string) *problem {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return refuse("invalid-parameter", "查询串格式错误")
	}
	for name, all := range values {
		if _, twice := c.params[name]; twice || len(all) > 1 {
			return refuse("invalid-parameter", name+"重复")
		}
		c.params[name] = all[0]
		for _, rule := range c.op.params {
			if _, err := strconv.ParseInt(all[0], 10, 64); rule.name == name && rule.sort == number && err == nil {
				c.params[name] = json.Number(all[0])
			}
		}
	}
	return nil
}

func (p *Platform) serveV3(w http.ResponseWriter, r *http.Request) {
	op, params := byPath(verbOf(r), r.URL)
	line := Entry{What: Called, Protocol: "v3", Method: r.Method + " " + r.URL.Path}
	if op != nil {
		line.Method = op.method
	}
	fault := p.drawFault(line.Method)
	line.Fault = fault.Kind
	defer func() { p.journal.add(line) }()

	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil { // the caller has gone, or sends without end
		line.Status = http.StatusRequestEntityTooLarge
		http.Error(w, "too large", line.Status)
		return
	}
	w.Header().Set("alipay-trace-id", p.traceID())
	switch fault.Kind {
	case HTML:
		line.Status = http.StatusBadGateway
		writePage(w)
		return
	case Throttle, Unavailable:
		prob := fault.problem()
		line.Code, line.Status = prob.code, prob.status
		p.writeProblem(w, r, fault, prob)
		return
	}
	c, encrypted, prob := p.acceptV3(r, op, params, body, fault.now())
	var result object
	status := http.StatusOK
	if c != nil {
		line.App, line.Number = c.app.ID, c.text(c.op.number)
	}
	switch {
	case prob != nil:
	case fault.Kind == NotProcessed:
		status, result = http.StatusAccepted, object{}
	default:
		result, prob = p.perform(c)
	}
	if prob != nil {
		line.Code, line.Status = prob.code, prob.status
		p.writeProblem(w, r, fault, prob)
		return
	}
	if status == http.StatusOK && len(result) == 0 && p.whimsical() {
		status = http.StatusNoContent
	}
	line.Status = status
	p.writeV3(w, r, fault, c.app, encrypted, status, result)
}

// problem is what the two faults say that look like the gateway's own words.
func (f Fault) problem() *problem {
	if f.Kind == Throttle {
		return refuse("app-call-limited", "")
	}
	prob := refuse("unknow-error", "")
	prob.code = "SYSTEM_ERROR" // v3 has the business codes of PROTOCOL.md 5 for it
	return prob
}

// writeProblem sends an error: never signed, and with or without links
// (PROTOCOL.md 4.1, probe).
func (p *Platform) writeProblem(w http.ResponseWriter, r *http.Request, fault Fault, prob *problem) {
	body := object{"code": prob.code, "message": prob.message}
	if p.whimsical() {
		body["links"] = []any{object{"link": "https://example.com/troubleshoot?code=" + prob.code, "desc": "排查工具"}}
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	fault.onProblem().write(w, r, prob.status, render(body))
}

// writeV3 sends a result, signed.
func (p *Platform) writeV3(w http.ResponseWriter, r *http.Request, fault Fault, a *app, encrypted bool, status int, result object) {
	var body []byte
	kind := "application/json;charset=utf-8"
	if status != http.StatusNoContent {
		body = render(result)
		if encrypted {
			text, _ := alipaytest.EncryptAES(a.AESKey, body) // the key has been used already
			body, kind = []byte(text), "text/plain;charset=utf-8"
			w.Header().Set("alipay-encrypt-type", "AES")
		}
		w.Header().Set("Content-Type", kind)
	}
	if fault.Kind != Unsigned {
		stamp, nonce := strconv.FormatInt(time.Now().UnixMilli(), 10), p.traceID()
		// RSA over a digest does not fail.
		sign, _ := p.config.Key.SignBytes([]byte(stamp+"\n"+nonce+"\n"+string(body)+"\n"), alipaytest.RSA2)
		w.Header().Set("alipay-timestamp", stamp)
		w.Header().Set("alipay-nonce", nonce)
		w.Header().Set("alipay-signature", sign)
	}
	if sn := p.answeringSN(a, fault); sn != "" {
		w.Header().Set("alipay-sn", sn)
	}
	fault.write(w, r, status, body)
}

// answeringSN is the certificate that the answer names.
func (p *Platform) answeringSN(a *app, fault Fault) string {
	switch {
	case a.certSN == "":
		return ""
	case fault.Kind == Rotated:
		return strings.Repeat("0", 32)
	}
	return p.alipaySN
}

// whimsical is true half of the time: where documents and probes disagree,
// neither answer may be relied on.
func (p *Platform) whimsical() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.whim.IntN(2) == 0
}

func (p *Platform) traceID() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return hex(p.trace, 32)
}

// nonces remembers what was used in the last window, and the one before.
type nonces struct {
	young, old map[string]bool
	since      time.Time
}

// firstUse notes a nonce, and tells whether it is new. A repeat that is older
// than two windows fails by its timestamp.
func (p *Platform) firstUse(nonce string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := &p.nonces
	if n.young == nil || now.Sub(n.since) > 2*maxSkew {
		n.young, n.old, n.since = map[string]bool{}, n.young, now
	}
	if n.young[nonce] || n.old[nonce] {
		return false
	}
	n.young[nonce] = true
	return true
}
