package explain

import (
	"iter"
	"strings"

	"alipay-notify/internal/verify"
)

// hypothesis is one way in which a form may have been damaged.
type hypothesis struct {
	code  string
	fault int // row of PROTOCOL.md 3.5
	// repair gives forms in which the damage is undone, the likeliest first. It
	// changes nothing that it is given.
	repair    func(repairable) iter.Seq[variant]
	what, try string
}

// repairable is what a repair may look at. The fields stand as they came, with
// repeated names, and sign among them; sign is never repaired here.
type repairable struct {
	fields []verify.Field
	in     *Input
	appID  string
}

// variant is one repaired form.
type variant struct {
	fields []verify.Field
	field  string // the one that was changed, or empty
	wide   bool   // nothing narrower can be meant: worth a second repair on top
}

func (h *hypothesis) proved(field string) Cause {
	return Cause{Code: h.code, Fault: h.fault, Proved: true, What: h.what, Try: h.try, Field: clip(field)}
}

// renews tells whether the repair may bring another sign into the form.
func (h *hypothesis) renews() bool { return h.code == "repeated_field" || h.code == "name_changed" }

// rawBody is the advice for nearly every damage to a value.
const rawBody = "hand the body on as it came, byte for byte, before any framework, filter or proxy of yours parses it"

// hypotheses are the repairs of fields, in the order in which they are tried.
// Where two lead to the same form the first is named: so those that say more
// stand before those that say less.
var hypotheses = []hypothesis{
	{"alipay_cert_sn_added", 3, dropFields(isCertSN),
		"alipay_cert_sn was added after signing", "look for the client that adds it: Alipay's notifications do not have it"},
	{"extra_field", 7, dropUndocumented,
		"a field stands in the form that was not signed",
		"find what adds it: query parameters of the URL, a route parameter or a framework's own field; only the POST body counts"},
	{"repeated_field", 7, keepOne,
		"a field stands twice, and one of the two was not signed", "find what copies query parameters of the URL into the form"},
	{"html_escaped", 8, changing(unescapeHTML, unescapeHTMLTwice, unescapeQuotes),
		`values were HTML-escaped (&quot; for ")`, "switch the input filter (XSS, htmlspecialchars) off for this address; " + rawBody},
	{"plus_lost", 14, plusLost,
		"'+' in a value became a space", "look for a second decoding, or a client that posts '+' without writing it as %2B"},
	{"plus_added", 14, changing(func(s string) string { return strings.ReplaceAll(s, "+", " ") }),
		"a space in a value became '+'", "look for a client that encodes twice, or parses the form without turning '+' into a space"},
	{"backslashes_added", 9, changing(stripSlashes, stripQuoteSlashes),
		"backslashes were put before quotes", "switch magic quotes, addslashes or SQL escaping off; " + rawBody},
	{"backslashes_stripped", 9, changingJSON(escapeInner, escapeNested, escapeInnerAndSlash),
		"backslashes inside JSON were taken away", "take stripslashes out of the way of this request; " + rawBody},
	{"value_decoded_twice", 6, eachChanged(encodeJava, encodeGo, encodeScript, encodeJavaLower),
		"a value was percent-decoded twice", "decode once: a framework has decoded the form already; " + rawBody},
	{"value_not_decoded", 6, changing(percentDecode, formDecode),
		"values are still percent-encoded after one decoding", "look for the client or proxy that encodes twice"},
	{"charset", 13, charsets,
		"values are in another charset than the one they were signed in",
		"send and verify the bytes as they came; transcode only after verifying, and never let a filter assume UTF-8"},
	{"charset_field", 13, setting("charset", "UTF-8", "GBK", "utf-8", "gbk", "GB18030", "gb18030", "UTF8", "utf8", "GB2312", "gb2312"),
		"the field charset was changed or lost", "look for the filter that rewrites it; it is signed as it was sent"},
	{"sign_type_field", 4, setting("sign_type", "RSA2", "RSA"),
		"the field sign_type was changed", "look for what rewrites it; for some messages it is part of the signed text"},
	{"json_reformatted", 10, changingJSON(compactJSON, unescapeSlash, unescapeUnicode, plainJSON, spaceColonComma, spaceComma, spaceColon,
		escapeUnicode, escapeUnicodeUpper, escapeHTMLInJSON, escapeSlash, compactEscapeSlash),
		"JSON was parsed and written again, with other spaces or escapes", "never rebuild a value from parsed JSON before verifying; " + rawBody},
	{"white_space_added", 2, changing(trimSpace, trimRight),
		"white space was put around a value", "look at how the body was copied or templated; " + rawBody},
	{"newlines_changed", 17, changing(toLF, toCRLF, spaceToLF),
		"line breaks inside a value were changed", "look for an editor or a client that normalises text; " + rawBody},
	{"value_trimmed", 2, untrimmed,
		"white space at the edge of a value was trimmed", "switch trimming of parameters off; " + rawBody},
	{"empty_field_lost", 2, addEmpty,
		"a field that is empty or blank was dropped", "pass empty fields on; " + rawBody},
	{"null_text", 0, nullText,
		`a field without a value was written as the text "null"`, "look for the code that turns an absent value into text"},
	{"number_reformatted", 10, changing(twoDecimals),
		"an amount was parsed as a number and written again", "keep amounts as text; " + rawBody},
	{"name_changed", 0, renaming(snake),
		"field names were rewritten", "look for the framework that renames parameters; " + rawBody},
	{"case_changed", 0, caseChanged,
		"upper and lower case were changed", "look for the filter that folds case; " + rawBody},
	{"constant_field_lost", 10, addConstant,
		"a field that was signed is missing", "pass every field on, known or not; " + rawBody},
	{"signed_field_added", 7, dropEach,
		"a field with a documented name was added after signing", "find what adds it: query parameters of the URL, or a framework"},
}

// bodyHypothesis is a way of reading a body that is not, or no longer, the form
// that was posted.
type bodyHypothesis struct {
	hypothesis
	read func(body []byte, contentType string) iter.Seq[[]verify.Field]
}

// bodyHypotheses are tried before and under the repairs of fields.
var bodyHypotheses = []bodyHypothesis{
	{hypothesis{code: "gzip", fault: 15, what: "the body is compressed with gzip",
		try: "let the proxy send it uncompressed: the receiver takes no Content-Encoding"}, gunzip},
	{hypothesis{code: "base64_body", fault: 15, what: "the body is the base64 of the form",
		try: "let the function gateway decode it (isBase64Encoded) before it passes it on"}, base64Body},
	{hypothesis{code: "http_message", what: "the capture holds the request line and headers beside the body",
		try: "explain what follows the empty line"}, httpMessage},
	{hypothesis{code: "query_string", fault: 7, what: "the fields stand in a URL and not in a body",
		try: "post them: the receiver reads the body alone, and what a browser brings by URL is a return URL"}, queryString},
	{hypothesis{code: "html_escaped_separators", fault: 8, what: "the '&' between fields was written as &amp;",
		try: "copy the body from a source that is not HTML; " + rawBody}, escapedSeparators},
	{hypothesis{code: "json_body", fault: 15, what: "the form was turned into JSON",
		try: "post the form as it came: no check of the signature can follow a rebuilt body safely"}, jsonBody},
	{hypothesis{code: "multipart_body", fault: 15, what: "the form was turned into multipart/form-data",
		try: "post the form as it came, as application/x-www-form-urlencoded"}, multipartBody},
	{hypothesis{code: "body_wrapped", fault: 17, what: "white space or quotes were put around or into the body",
		try: "copy the body again in one piece, without line breaks"}, wrapped},
	{hypothesis{code: "body_encoded_twice", fault: 6, what: "the whole body was percent-encoded once more",
		try: "look for the client that encodes a body which is a form already"}, encodedTwice},
	{hypothesis{code: "body_decoded", fault: 18, what: "the body was percent-decoded before it was posted",
		try: "look for what has read the form and put it together again; " + rawBody}, decodedAlready},
}

// barePercent is how a body with a broken escape is read at all.
var barePercent = hypothesis{
	code: "bare_percent", fault: 6, what: "a '%' in a value is not escaped",
	try: "look for what decodes the body, or builds it without escaping",
}
