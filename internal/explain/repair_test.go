package explain_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"mime/multipart"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/explain"
)

type (
	field = alipaytest.Field
	form  = alipaytest.Form
)

// signWith signs until sign holds what the damage needs.
func signWith(t *testing.T, w *world, need string) form {
	t.Helper()
	for i := range 500 {
		f := w.message(t, field{Name: "n", Value: fmt.Sprint(i)})
		if strings.Contains(get(t, f, "sign"), need) {
			return f
		}
	}
	t.Fatalf("no sign has %q", need)
	return nil
}

func toGBK(s string) string {
	out, err := simplifiedchinese.GBK.NewEncoder().String(s)
	if err != nil {
		panic(err)
	}
	return out
}

func fromGBK(s string) string {
	out, err := simplifiedchinese.GBK.NewDecoder().String(s)
	if err != nil {
		panic(err)
	}
	return out
}

func latin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

func unescaped(s string) string {
	out, err := url.QueryUnescape(s)
	if err != nil {
		panic(err)
	}
	return out
}

func addSlashes(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`).Replace(s)
}

func spacedJSON(s string) string {
	if !strings.HasPrefix(s, "{") && !strings.HasPrefix(s, "[") {
		return s
	}
	return strings.NewReplacer(`":`, `": `, `",`, `", `).Replace(s)
}

func indented(s string) string {
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(s), "", "  "); err != nil {
		panic(err)
	}
	return b.String()
}

// rows are the faults that a form shows, by their row in PROTOCOL.md 3.5.
var rows = []struct {
	row  int
	name string
	code string
	form func(*testing.T, *world) form
}{
	{1, "plus in sign became space", "sign_plus_lost", func(t *testing.T, w *world) form {
		return edit(t, signWith(t, w, "+"), "sign", func(s string) string { return strings.ReplaceAll(s, "+", " ") })
	}},
	{2, "trailing space trimmed", "value_trimmed", func(t *testing.T, w *world) form {
		return edit(t, w.trade(t, field{Name: "subject", Value: "饭 "}), "subject", strings.TrimSpace)
	}},
	{2, "leading newline trimmed", "value_trimmed", func(t *testing.T, w *world) form {
		return edit(t, w.trade(t, field{Name: "body", Value: "\n饭"}), "body", strings.TrimSpace)
	}},
	{2, "blank value dropped", "empty_field_lost", func(t *testing.T, w *world) form {
		return w.trade(t, field{Name: "body", Value: " "}).Without("body")
	}},
	{2, "empty value dropped", "empty_field_lost", func(t *testing.T, w *world) form {
		return w.trade(t, field{Name: "refund_fee", Value: ""}).Without("refund_fee")
	}},
	{2, "space added", "white_space_added", func(t *testing.T, w *world) form {
		return edit(t, w.trade(t), "trade_no", func(s string) string { return " " + s + "\n" })
	}},
	{3, "alipay_cert_sn added", "alipay_cert_sn_added", func(t *testing.T, w *world) form {
		return w.trade(t).With("alipay_cert_sn", "687b59193f3f462dd5336e5abf83c5d8")
	}},
	{4, "sign_type rewritten", "sign_type_field", func(t *testing.T, w *world) form {
		return w.message(t).With("sign_type", "RSA")
	}},
	{6, "passback decoded twice", "value_decoded_twice", func(t *testing.T, w *world) form {
		return edit(t, w.trade(t), "passback_params", unescaped)
	}},
	{6, "values still encoded", "value_not_decoded", func(t *testing.T, w *world) form {
		return editAll(w.message(t), url.QueryEscape)
	}},
	{7, "framework's field", "extra_field", func(t *testing.T, w *world) form {
		return w.trade(t).With("_url", "/notify/alipay")
	}},
	{7, "two query parameters", "extra_field", func(t *testing.T, w *world) form {
		return w.message(t).With("tenant", "7").With("s", "Home/Notify")
	}},
	{7, "documented name added", "signed_field_added", func(t *testing.T, w *world) form {
		return w.message(t).With("timestamp", "1")
	}},
	{7, "repeated by the URL", "repeated_field", func(t *testing.T, w *world) form {
		return append(form{{Name: "version", Value: "9"}}, w.message(t)...)
	}},
	{8, "HTML-escaped", "html_escaped", func(t *testing.T, w *world) form {
		return editAll(w.trade(t), func(s string) string { return strings.ReplaceAll(html.EscapeString(s), "&#34;", "&quot;") })
	}},
	{8, "HTML-escaped twice", "html_escaped", func(t *testing.T, w *world) form {
		return editAll(w.message(t), func(s string) string { return html.EscapeString(html.EscapeString(s)) })
	}},
	{9, "slashes added", "backslashes_added", func(t *testing.T, w *world) form { return editAll(w.message(t), addSlashes) }},
	{9, "slashes stripped", "backslashes_stripped", func(t *testing.T, w *world) form {
		f := w.message(t, field{Name: "memo", Value: `5" 折 "b" 券`})
		return edit(t, f, "biz_content", func(s string) string { return strings.ReplaceAll(s, `\`, "") })
	}},
	{9, "slashes of nested JSON stripped", "backslashes_stripped", func(t *testing.T, w *world) form {
		f := w.message(t, field{Name: "memo", Value: `{"a":"1","b":["2"]}`})
		return edit(t, f, "biz_content", func(s string) string { return strings.ReplaceAll(s, `\`, "") })
	}},
	{10, "JSON with spaces", "json_reformatted", func(t *testing.T, w *world) form {
		return editAll(w.trade(t), spacedJSON)
	}},
	{10, "JSON indented", "json_reformatted", func(t *testing.T, w *world) form {
		return edit(t, w.message(t), "biz_content", indented)
	}},
	{10, "slashes escaped, characters as \\u", "json_reformatted", func(t *testing.T, w *world) form {
		f := w.message(t, field{Name: "url", Value: "https://a.example/五折"})
		return edit(t, f, "biz_content", func(s string) string {
			return strings.NewReplacer("/", `\/`, "五", `\u4e94`, "折", `\u6298`).Replace(s)
		})
	}},
	{10, "HTML characters escaped in JSON", "json_reformatted", func(t *testing.T, w *world) form {
		f := w.message(t, field{Name: "memo", Value: "a<b>&c"})
		return edit(t, f, "biz_content", func(s string) string {
			return strings.NewReplacer("&", `\u0026`, "<", `\u003c`, ">", `\u003e`).Replace(s)
		})
	}},
	{10, "amount as a number", "number_reformatted", func(t *testing.T, w *world) form {
		return edit(t, w.trade(t, field{Name: "point_amount", Value: "0.50"}), "point_amount", func(string) string { return "0.5" })
	}},
	{10, "constant lost", "constant_field_lost", func(t *testing.T, w *world) form { return w.message(t).Without("version") }},
	{12, "own key signed", "signed_by_own_key", func(t *testing.T, w *world) form {
		f, err := w.app.OwnKey.SignForm(w.message(t), alipaytest.Signing{})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}},
	{12, "another app's key signed", "other_app_key", func(t *testing.T, w *world) form {
		f, err := w.other.Key.SignForm(w.message(t), alipaytest.Signing{})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}},
	{13, "GBK made UTF-8", "charset", func(t *testing.T, w *world) form {
		return editAll(w.form(t, "trade.status_changed", alipaytest.Options{Charset: alipaytest.GBK}), fromGBK)
	}},
	{13, "UTF-8 made GBK", "charset", func(t *testing.T, w *world) form { return editAll(w.trade(t), toGBK) }},
	{13, "UTF-8 taken for Latin-1", "charset", func(t *testing.T, w *world) form { return editAll(w.trade(t), latin1) }},
	{13, "charset rewritten", "charset_field", func(t *testing.T, w *world) form { return w.trade(t).With("charset", "utf-8") }},
	{14, "plus in a value became space", "plus_lost", func(t *testing.T, w *world) form {
		return edit(t, w.trade(t, field{Name: "subject", Value: "饭+汤 套餐+茶"}), "subject", func(s string) string { return strings.ReplaceAll(s, "+", " ") })
	}},
	{14, "space became plus", "plus_added", func(t *testing.T, w *world) form {
		return editAll(w.trade(t), func(s string) string { return strings.ReplaceAll(s, " ", "+") })
	}},
	{17, "line breaks changed", "newlines_changed", func(t *testing.T, w *world) form {
		return edit(t, w.trade(t, field{Name: "body", Value: "a\r\nb"}), "body", func(s string) string { return strings.ReplaceAll(s, "\r", "") })
	}},
	{17, "sign wrapped", "sign_white_space", func(t *testing.T, w *world) form {
		return edit(t, w.message(t), "sign", func(s string) string { return s[:76] + "\r\n" + s[76:] + "\n" })
	}},
	{0, "null as text", "null_text", func(t *testing.T, w *world) form { return w.trade(t).With("refund_fee", "null") }},
	{0, "case folded", "case_changed", func(t *testing.T, w *world) form {
		return edit(t, w.trade(t), "trade_status", strings.ToLower)
	}},
	{0, "names in camel case", "name_changed", func(t *testing.T, w *world) form {
		f := w.message(t)
		for i := range f {
			switch f[i].Name {
			case "app_id", "notify_id":
				f[i].Name = strings.ReplaceAll(f[i].Name, "_i", "I")
			case "sign", "charset":
				f[i].Name = strings.ToUpper(f[i].Name)
			}
		}
		return f
	}},
	{0, "URL-safe sign", "sign_url_safe", func(t *testing.T, w *world) form {
		return edit(t, signWith(t, w, "/"), "sign", func(s string) string { return strings.NewReplacer("+", "-", "/", "_").Replace(s) })
	}},
	{0, "padding of sign lost", "sign_padding_lost", func(t *testing.T, w *world) form {
		return edit(t, w.message(t), "sign", func(s string) string { return strings.TrimRight(s, "=") })
	}},
	{6, "sign encoded twice", "sign_encoded_twice", func(t *testing.T, w *world) form { return edit(t, w.message(t), "sign", url.QueryEscape) }},
	{8, "sign HTML-escaped", "sign_html_escaped", func(t *testing.T, w *world) form {
		return edit(t, signWith(t, w, "+"), "sign", func(s string) string { return strings.ReplaceAll(s, "+", "&#43;") })
	}},
	{9, "sign with backslashes", "sign_backslashes", func(t *testing.T, w *world) form {
		return edit(t, signWith(t, w, "/"), "sign", func(s string) string { return strings.ReplaceAll(s, "/", `\/`) })
	}},
}

func TestRowsAreProved(t *testing.T) {
	t.Parallel()
	w := shared()
	for _, test := range rows {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := explain.Explain(w.input(test.form(t, w).Encode()))
			wantProved(t, r, test.code)
			if r.Causes[0].Fault != test.row {
				t.Errorf("row %d, want %d", r.Causes[0].Fault, test.row)
			}
			if len(r.Causes) != 1 || r.Work.Exhausted {
				t.Errorf("more causes than one: %v", codes(r))
			}
		})
	}
}

// Damage that is done to the body and not to its fields.
func TestBodiesAreProved(t *testing.T) {
	t.Parallel()
	w := shared()
	tests := []struct {
		row  int
		code string
		body func(*testing.T) []byte
	}{
		{15, "gzip", func(t *testing.T) []byte {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			z.Write(w.trade(t).Encode())
			z.Close()
			return b.Bytes()
		}},
		{15, "base64_body", func(t *testing.T) []byte {
			return []byte(base64.StdEncoding.EncodeToString(w.trade(t).Encode()))
		}},
		{15, "json_body", func(t *testing.T) []byte {
			m := map[string]string{}
			for _, f := range w.trade(t) {
				m[f.Name] = f.Value
			}
			b, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}},
		{15, "multipart_body", func(t *testing.T) []byte {
			var b bytes.Buffer
			m := multipart.NewWriter(&b)
			for _, f := range w.trade(t) {
				m.WriteField(f.Name, f.Value)
			}
			m.Close()
			return b.Bytes()
		}},
		{0, "http_message", func(t *testing.T) []byte {
			return append([]byte("POST /notify HTTP/1.1\r\nHost: shop.example\r\n\r\n"), w.trade(t).Encode()...)
		}},
		{7, "query_string", func(t *testing.T) []byte {
			return append([]byte("https://shop.example/notify?"), w.trade(t).Encode()...)
		}},
		{17, "body_wrapped", func(t *testing.T) []byte {
			b := w.trade(t).Encode()
			return append(append(append([]byte{}, b[:20]...), '\n'), b[20:]...)
		}},
		{17, "body_wrapped", func(t *testing.T) []byte { return append(w.message(t).Encode(), "\r\n"...) }},
		{6, "body_encoded_twice", func(t *testing.T) []byte { return []byte(url.QueryEscape(string(w.trade(t).Encode()))) }},
		{18, "body_decoded", func(t *testing.T) []byte { return []byte(unescaped(string(w.trade(t).Encode()))) }},
		{6, "bare_percent", func(t *testing.T) []byte {
			f := w.trade(t, field{Name: "body", Value: "100%"})
			return bytes.Replace(f.Encode(), []byte("100%25"), []byte("100%"), 1)
		}},
		{8, "html_escaped_separators", func(t *testing.T) []byte {
			return bytes.ReplaceAll(w.trade(t).Encode(), []byte("&"), []byte("&amp;"))
		}},
	}
	for _, test := range tests {
		t.Run(test.code, func(t *testing.T) {
			t.Parallel()
			r := explain.Explain(w.input(test.body(t)))
			wantProved(t, r, test.code)
			if r.Causes[0].Fault != test.row {
				t.Errorf("row %d, want %d", r.Causes[0].Fault, test.row)
			}
		})
	}
}

func TestTwoDamagesAreProved(t *testing.T) {
	t.Parallel()
	w := shared()
	tests := []struct {
		want []string
		body func(*testing.T) []byte
	}{
		{[]string{"extra_field", "plus_lost"}, func(t *testing.T) []byte {
			f := edit(t, w.trade(t, field{Name: "subject", Value: "饭+汤 a"}), "subject", func(s string) string { return strings.ReplaceAll(s, "+", " ") })
			return f.With("_url", "x").Encode()
		}},
		{[]string{"html_escaped", "sign_plus_lost"}, func(t *testing.T) []byte {
			f := editAll(signWith(t, w, "+"), html.EscapeString)
			return edit(t, f, "sign", func(s string) string { return strings.ReplaceAll(s, "+", " ") }).Encode()
		}},
		{[]string{"extra_field", "value_decoded_twice"}, func(t *testing.T) []byte {
			return edit(t, w.trade(t), "passback_params", unescaped).With("route", "notify").Encode()
		}},
		{[]string{"body_wrapped", "extra_field"}, func(t *testing.T) []byte {
			return append(append(form{{Name: "_url", Value: "x"}}, w.message(t)...).Encode(), '\n')
		}},
		{[]string{"charset", "charset_field"}, func(t *testing.T) []byte {
			f := editAll(w.form(t, "trade.status_changed", alipaytest.Options{Charset: alipaytest.GBK}), fromGBK)
			return f.With("charset", "UTF-8").Encode()
		}},
		{[]string{"extra_field", "other_app_key"}, func(t *testing.T) []byte {
			f, err := w.other.Key.SignForm(w.trade(t), alipaytest.Signing{})
			if err != nil {
				t.Fatal(err)
			}
			return f.With("_url", "x").Encode()
		}},
		{[]string{"body_decoded", "html_escaped"}, func(t *testing.T) []byte {
			f := editAll(w.message(t), func(s string) string { return strings.ReplaceAll(s, `"`, "&quot;") })
			return []byte(unescaped(string(f.Encode())))
		}},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.want, " and "), func(t *testing.T) {
			t.Parallel()
			wantProved(t, explain.Explain(w.input(test.body(t))), test.want...)
		})
	}
}
