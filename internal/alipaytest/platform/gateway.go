package platform

import (
	"bytes"
	"html"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"alipay-notify/internal/alipaytest"
)

// gateway.do, PROTOCOL.md 4.2.

// readForm reads the parameters of URL and body as the bytes they are. One that
// is in both places has to say the same in both.
func readForm(r *http.Request) (map[string]string, *problem) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return nil, refuse("invalid-parameter", "请求不完整")
	}
	out := map[string]string{}
	for _, raw := range []string{r.URL.RawQuery, string(body)} {
		values, err := url.ParseQuery(raw)
		if err != nil {
			return nil, refuse("invalid-parameter", "表单格式错误")
		}
		for name, all := range values {
			if before, was := out[name]; len(all) > 1 || was && before != all[0] {
				return nil, refuse("invalid-parameter", name+"重复")
			}
			out[name] = all[0]
		}
	}
	return out, nil
}

// signedForm is the text that a form signs: sign and what is empty left out,
// sign_type kept.
func signedForm(form map[string]string) []byte {
	var out []byte
	for _, name := range slices.Sorted(maps.Keys(form)) {
		if name == "sign" || form[name] == "" {
			continue
		}
		if out != nil {
			out = append(out, '&')
		}
		out = append(append(append(out, name...), '='), form[name]...)
	}
	return out
}

// charsets are the names that charset may have, in lower case.
var charsets = map[string]alipaytest.Charset{
	"utf-8": alipaytest.UTF8, "gbk": alipaytest.GBK, "gb2312": alipaytest.GBK, "gb18030": alipaytest.GB18030,
}

// asked is a request to gateway.do as far as it was understood.
type asked struct {
	form      map[string]string
	charset   alipaytest.Charset
	op        *operation
	app       *app
	encrypted bool
}

// prove finds the app that has signed the form. Fields of asked that are known
// are set even when there is a problem.
func (q *asked) prove(p *Platform, r *http.Request, now time.Time) *problem {
	form := q.form
	if q.charset = charsets[strings.ToLower(form["charset"])]; q.charset == "" || !r.URL.Query().Has("charset") {
		q.charset = alipaytest.UTF8
		return refuse("invalid-charset", "charset应在URL中，取值utf-8、gbk或gb18030")
	}
	q.op, q.app = byMethod(form["method"]), p.apps[form["app_id"]]
	switch {
	case form["method"] == "":
		return refuse("missing-method", "")
	case form["app_id"] == "":
		return refuse("missing-app-id", "")
	case q.app == nil:
		return refuse("invalid-app-id", "")
	case form["sign_type"] == "":
		return refuse("missing-signature-type", "")
	case form["sign_type"] != "RSA2":
		return refuse("invalid-signature-type", "")
	case form["sign"] == "":
		return refuse("missing-signature", "")
	case form["timestamp"] == "":
		return refuse("missing-timestamp", "")
	case form["version"] == "":
		return refuse("missing-version", "")
	case form["version"] != "1.0":
		return refuse("invalid-version", "")
	case form["format"] != "" && !strings.EqualFold(form["format"], "json"):
		return refuse("invalid-format", "")
	case form["app_auth_token"] != "" && form["app_auth_token"] != q.app.AuthToken:
		return refuse("invalid-app-auth-token", "")
	}
	if prob := checkStamp(form["timestamp"], now); prob != nil {
		return prob
	}
	if prob := p.checkCerts(q.app, form["app_cert_sn"], form["alipay_root_cert_sn"]); prob != nil {
		return prob
	}
	text := signedForm(form)
	if !alipaytest.VerifyBytes(q.app.Public, text, form["sign"], alipaytest.RSA2) {
		prob := refuse("invalid-signature", "")
		if readable, err := q.charset.Decode(string(text)); err == nil {
			// The real one says it too, and escapes it as if for a page.
			prob.message += "，网关生成的验签字符串为：" + html.EscapeString(readable)
		}
		return prob
	}
	if q.op == nil {
		return refuse("invalid-method", "")
	}
	return nil
}

// checkStamp checks the form of a timestamp. How old one may be is documented
// for v3 alone; a whole day off is a wrong clock or zone by any measure.
func checkStamp(stamp string, now time.Time) *problem {
	t, err := parseClock(stamp)
	if err != nil {
		return refuse("invalid-timestamp", "格式应为yyyy-MM-dd HH:mm:ss")
	}
	if now.Sub(t).Abs() > 24*time.Hour {
		return refuse("invalid-timestamp", "")
	}
	return nil
}

// call reads biz_content.
func (q *asked) call() (*call, *problem) {
	content := q.form["biz_content"]
	if kind := q.form["encrypt_type"]; kind != "" {
		switch {
		case kind != "AES":
			return nil, refuse("invalid-encrypt-type", "")
		case q.app.AESKey == nil:
			return nil, refuse("missing-encrypt-key", "")
		}
		plain, err := alipaytest.DecryptAES(q.app.AESKey, content)
		if err != nil {
			return nil, refuse("decryption-error-unknown", "")
		}
		content, q.encrypted = string(plain), true
	}
	content, err := q.charset.Decode(content)
	if err != nil {
		return nil, refuse("invalid-charset", "")
	}
	params, err := parseObject([]byte(content))
	if err != nil {
		return nil, refuse("illegal-json", "")
	}
	if token := q.form["auth_token"]; token != "" {
		params["auth_token"] = token
	}
	return &call{op: q.op, app: q.app, params: params, v2: true, at: time.Now()}, nil
}

func (p *Platform) serveGateway(w http.ResponseWriter, r *http.Request) {
	line := Entry{What: Called, Protocol: "v2", Status: http.StatusOK}
	defer func() { p.journal.add(line) }()
	w.Header().Set("trace_id", p.traceID())
	if r.Method != http.MethodPost {
		line.Status = http.StatusMethodNotAllowed
		http.Error(w, "POST", http.StatusMethodNotAllowed)
		return
	}
	q := &asked{charset: alipaytest.UTF8}
	var prob *problem
	q.form, prob = readForm(r)
	line.Method = q.form["method"]
	fault := p.drawFault(line.Method)
	line.Fault = fault.Kind
	if fault.Kind == ClockSkew && fault.By == 0 {
		fault.By = 25 * time.Hour // less is within what gateway.do lets pass
	}
	switch {
	case fault.Kind == HTML:
		line.Status = http.StatusBadGateway
		writePage(w)
		return
	case prob != nil:
	case fault.Kind == Throttle, fault.Kind == Unavailable:
		prob = fault.problem()
	default:
		prob = q.prove(p, r, fault.now())
	}
	var c *call
	if prob == nil {
		c, prob = q.call()
	}
	var result object
	switch {
	case prob != nil:
	case fault.Kind == NotProcessed:
		prob = refuse("accepted-and-not-yet-handled", "")
		prob.sub, prob.gateway = "", false
	default:
		result, prob = p.perform(c)
	}
	if q.app != nil {
		line.App = q.app.ID
	}
	if c != nil {
		line.Number = c.text(c.op.number)
	}
	if prob != nil {
		line.Code = prob.code
	}
	p.writeGateway(w, r, fault, q, result, prob)
}

// node is the object that an answer is about.
func node(result object, prob *problem) object {
	out := object{"code": "10000"}
	if prob != nil {
		out["code"] = prob.v2
		if prob.sub != "" {
			out["sub_code"], out["sub_msg"] = prob.sub, prob.message
		}
	}
	out["msg"] = v2Messages[out["code"].(string)]
	for name, value := range result {
		out[name] = value
	}
	return out
}

// writeGateway sends a node, and its signature before or behind it. Problems of
// the gateway's are not signed, and have the method's name or none.
func (p *Platform) writeGateway(w http.ResponseWriter, r *http.Request, fault Fault, q *asked, result object, prob *problem) {
	unsigned := prob != nil && prob.gateway
	name := strings.ReplaceAll(q.form["method"], ".", "_") + "_response"
	if unsigned && (q.op == nil || p.whimsical()) {
		name = "error_response"
	}
	body := encodeText(render(node(result, prob)), q.charset)
	if q.encrypted {
		text, _ := alipaytest.EncryptAES(q.app.AESKey, body) // the key has been used already
		body = []byte(`"` + text + `"`)
	}
	answer := `"` + name + `":` + string(body)
	if !unsigned && (fault.Kind != Unsigned || prob != nil) {
		signed := body
		if fault.Kind == Slashes {
			signed = bytes.ReplaceAll(body, []byte("/"), []byte(`\/`))
		}
		sign, _ := p.config.Key.SignBytes(signed, alipaytest.RSA2) // RSA over a digest does not fail
		if sn := p.answeringSN(q.app, fault); sn != "" {
			answer += `,"alipay_cert_sn":"` + sn + `"`
		}
		if p.whimsical() {
			answer += `,"sign":"` + sign + `"`
		} else {
			answer = `"sign":"` + sign + `",` + answer
		}
	}
	if prob != nil {
		fault = fault.onProblem()
	}
	w.Header().Set("Content-Type", "text/html;charset="+string(q.charset))
	fault.write(w, r, http.StatusOK, []byte("{"+answer+"}"))
}

// encodeText gives JSON in a charset; characters that it lacks are escaped.
func encodeText(text []byte, charset alipaytest.Charset) []byte {
	if out, err := charset.Encode(string(text)); err == nil {
		return []byte(out)
	}
	var out []byte
	for _, r := range string(text) {
		if r < 0x80 {
			out = append(out, byte(r))
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			out = append(out, '\\', 'u')
			for shift := 12; shift >= 0; shift -= 4 {
				out = append(out, "0123456789abcdef"[unit>>shift&15])
			}
		}
	}
	return out
}
