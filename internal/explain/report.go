package explain

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// Report is what Explain found out. It holds what the request holds, personal
// data included: it is for an operator's eyes and does not belong in a log. Texts
// of the request stand in it as they came, control characters included: who
// writes them to a terminal escapes them. The JSON names are stable.
type Report struct {
	// AppID is the app whose keys decide: from the form, its XML or the URL. It
	// may be one that is not configured.
	AppID string `json:"app_id"`
	// NotifyID and Type are what the envelope says, empty where it cannot be read.
	NotifyID string `json:"notify_id"`
	Type     string `json:"type"`
	// Accepted tells whether the receiver would take the request as it is; a
	// gateway check counts when it would be answered.
	Accepted bool `json:"accepted"`
	// Match says which key and rule fit, or is nil.
	Match *Match `json:"match"`
	// Signature says what the signature tells of itself.
	Signature Signature `json:"signature"`
	// Steps are the receiver's checks in its order. The first that failed is the
	// receiver's reason.
	Steps []Step `json:"steps"`
	// Causes are the proved ones, and then at most five others, likeliest first.
	// None for a request that is taken, unless the configuration trusts a wrong key.
	Causes []Cause `json:"causes"`
	// Repaired is the signing string that fits once the proved causes are undone,
	// or nil. Compare it with the candidates.
	Repaired *Candidate `json:"repaired"`
	// Candidates are the signing strings that the receiver tries, in its order.
	Candidates []Candidate `json:"candidates"`
	// Fields are the form's fields as they came, in the order of the signed string.
	Fields []Field `json:"fields"`
	// Work is what the search for a cause cost.
	Work Work `json:"work"`
}

// Match is what proved the request genuine.
type Match struct {
	KeyID    string `json:"key_id"`
	Rule     string `json:"rule"`
	SignType string `json:"sign_type"`
}

// Signature is what can be read from a signature without knowing the text that
// it covers: an RSA public key that made it opens it to the digest inside.
type Signature struct {
	// Characters is the length of the field sign; 344 for a key of 2048 bits.
	Characters int `json:"characters"`
	// MadeBy is the id of the known key that made the signature, whatever text
	// it covers; empty when no known key did. Role and App say whose key it is.
	MadeBy string `json:"made_by"`
	Role   string `json:"role"` // "alipay" or "own"
	App    string `json:"app"`
	// SignType is the algorithm that was used, whatever the field sign_type says.
	SignType string `json:"sign_type"`
	// Digest is the hex digest of the text that was signed. A sender's log can be
	// searched for the text with this digest.
	Digest string `json:"digest"`
}

// State is how a check ended.
type State string

// The states of a Step.
const (
	OK   State = "ok"
	Fail State = "fail"
	Skip State = "skip" // not asked, or not decidable here; Detail says why
)

// Step is one check of the receiver.
type Step struct {
	// Check is transport, form, grammar, app, algorithm, signature_format,
	// signature, age, ambiguity, decryption, content or typing.
	Check  string `json:"check"`
	State  State  `json:"state"`
	Detail string `json:"detail"`
}

// Candidate is one signing string.
type Candidate struct {
	// Rule is as in the Alipay-Proof header; Inserted is the sign_type that the
	// rule puts in.
	Rule     string `json:"rule"`
	Inserted string `json:"inserted,omitempty"`
	// SigningString is the text, readable; Base64 has its bytes where they are
	// not UTF-8. Cut says that only the first 256 KiB are shown.
	SigningString string `json:"signing_string"`
	Base64        string `json:"base64,omitempty"`
	Cut           bool   `json:"cut,omitempty"`
	// Bytes and SHA256 are of the whole string.
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
	// FitsKey is the id of the known key for which the signature fits this
	// string, configured for the app or not; empty when there is none.
	FitsKey string `json:"fits_key"`
}

// Field is one form field.
type Field struct {
	Name string `json:"name"`
	// Value is readable text; Base64 has the bytes where they are not UTF-8. Cut
	// says that only the first 256 KiB are shown.
	Value  string `json:"value"`
	Base64 string `json:"base64,omitempty"`
	Cut    bool   `json:"cut,omitempty"`
	Bytes  int    `json:"bytes"` // of the whole value
	// Documented tells whether Alipay documents the name.
	Documented bool `json:"documented"`
}

// Cause is one reason why the request is not taken, and what to do about it.
type Cause struct {
	Code string `json:"code"` // stable
	// Fault is the row of PROTOCOL.md 3.5, the twenty faults that users report;
	// 0 for what is none of them.
	Fault int `json:"fault"`
	// Proved: the signature fits once this is undone, or the request shows the
	// fact itself. What is not proved is a guess.
	Proved bool   `json:"proved"`
	What   string `json:"what"`
	Try    string `json:"try"`
	// Field is the field that was mended, empty for several or the whole.
	Field string `json:"field,omitempty"`
}

// Work counts what the search did, each within its bound.
type Work struct {
	RSAOperations int   `json:"rsa_operations"` // at most MaxRSAOperations
	Trials        int   `json:"trials"`         // repaired forms compared, at most MaxTrials
	Bytes         int64 `json:"bytes"`          // read and hashed by the search, about MaxBytes at most
	// Exhausted: a bound ended the search, so a repair that exists may not have
	// been found.
	Exhausted bool `json:"exhausted"`
}

// maxShown bounds one text in a report. The receiver takes no larger request
// unless it is configured to.
const maxShown = 256 << 10

// show makes bytes readable. What is not UTF-8 is read as GB18030 where that
// works, and its bytes stand beside it.
func show(s string) (text, b64 string, cut bool) {
	if cut = len(s) > maxShown; cut {
		s = s[:maxShown]
	}
	if utf8.ValidString(s) {
		return s, "", cut
	}
	if cut && utf8.ValidString(trimHalfRune(s)) {
		return trimHalfRune(s), "", cut
	}
	b64 = base64.StdEncoding.EncodeToString([]byte(s))
	if text, ok := fromGB(s); ok {
		return text, b64, cut
	}
	return strings.ToValidUTF8(s, "\ufffd"), b64, cut
}

// trimHalfRune takes off the bytes of a character that a cut has halved.
func trimHalfRune(s string) string {
	for range utf8.UTFMax - 1 {
		if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size != 1 {
			break
		}
		s = s[:len(s)-1]
	}
	return s
}

// fromGB reads bytes as GB18030, of which GBK is a part.
func fromGB(s string) (string, bool) {
	text, err := simplifiedchinese.GB18030.NewDecoder().String(s)
	return text, err == nil && !strings.ContainsRune(text, utf8.RuneError)
}
