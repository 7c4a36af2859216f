// Package proof checks for itself that Alipay sent a notification: the request is
// kept with the event (Alipay-Raw), byte for byte, and so is which key and rule
// proved it (Alipay-Proof). A consumer that does this needs to trust neither the
// receiver nor whoever may publish on the stream. Only the standard library.
package proof

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Notification is what a genuine request says.
type Notification struct {
	AppID  string
	ID     string // notify_id
	Method string // msg_method
	SentAt time.Time

	// Content is biz_content, a JSON object. It is nil where this package cannot
	// read it: encrypted (the AES key is the receiver's alone), or not in UTF-8.
	Content json.RawMessage
}

// Checker checks requests against keys of Alipay's. It is safe for concurrent use.
type Checker struct {
	keys map[string]*rsa.PublicKey
}

// Check gives what the request says, or why it does not prove anything. get gives
// a header of the message, or empty. The error quotes no value of the request.
//
// What a signature proves is this very request; that the event says the same as
// the request is for the caller to compare.
func (c *Checker) Check(get func(header string) string) (Notification, error) {
	keyID, how, err := parseProof(get("Alipay-Proof"))
	if err != nil {
		return Notification{}, err
	}
	key := c.keys[keyID]
	if key == nil {
		return Notification{}, fmt.Errorf("Alipay-Proof names the key %s, which was not given", keyID)
	}
	body, err := unpack(get("Alipay-Raw"), get("Alipay-Raw-Encoding"))
	if err != nil {
		return Notification{}, err
	}
	f, err := parseForm(body)
	if err != nil {
		return Notification{}, err
	}
	signed, err := f.signingString(how)
	if err != nil {
		return Notification{}, err
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(f["sign"])
	if err != nil {
		return Notification{}, errors.New("the signature of Alipay-Raw is not base64")
	}
	digest := sha256.Sum256([]byte(signed))
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) != nil {
		return Notification{}, errors.New("the signature of Alipay-Raw is wrong")
	}
	return f.notification()
}

// rule says how the signed string was built. Alipay does not always do the same
// with the field sign_type, nor with fields without a value, and nothing in a
// message says which it was: the receiver tried, and wrote down what fitted.
type rule struct {
	signType  string // keep: signed as sent; drop: sent, not signed; insert: signed, not sent
	dropEmpty bool
}

// parseProof reads "key=<id>; rule=<keep|drop|insert>-sign-type,<keep|drop>-empty".
func parseProof(header string) (key string, how rule, err error) {
	id, text, found := strings.Cut(header, "; ")
	key, named := strings.CutPrefix(id, "key=")
	text, ruled := strings.CutPrefix(text, "rule=")
	mode, empty, _ := strings.Cut(text, ",")
	how = rule{signType: strings.TrimSuffix(mode, "-sign-type"), dropEmpty: empty == "drop-empty"}
	switch mode {
	case "keep-sign-type", "drop-sign-type", "insert-sign-type":
		if found && named && ruled && (how.dropEmpty || empty == "keep-empty") {
			return key, how, nil
		}
	}
	return "", rule{}, errors.New("Alipay-Proof is missing or unknown")
}

// notification reads a form whose signature was right, and closes what the
// signature leaves open: values are signed unescaped, so that the same signature
// fits a form whose fields were merged into one, or one field split at an '&'.
func (f form) notification() (Notification, error) {
	// With '&' or '=' in it a value may be two fields: the same request would be
	// another notification, with an id of its own.
	for _, name := range []string{"app_id", "notify_id", "msg_method", "utc_timestamp", "charset", "encrypt_type"} {
		if strings.ContainsAny(f[name], "&=") {
			return Notification{}, fmt.Errorf("%s of Alipay-Raw holds '&' or '='", name)
		}
	}
	n := Notification{AppID: f["app_id"], ID: f["notify_id"], Method: f["msg_method"]}
	if n.AppID == "" || n.ID == "" || n.Method == "" {
		return Notification{}, errors.New("Alipay-Raw lacks app_id, notify_id or msg_method")
	}
	ms, err := strconv.ParseInt(f["utc_timestamp"], 10, 64)
	if err != nil {
		return Notification{}, errors.New("utc_timestamp of Alipay-Raw is no number")
	}
	n.SentAt = time.UnixMilli(ms)
	if f["encrypt_type"] != "" || f["charset"] != "" && !strings.EqualFold(f["charset"], "UTF-8") {
		return n, nil
	}
	// A half of biz_content, split at an '&' inside, is no object.
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(f["biz_content"]), &object) != nil {
		return Notification{}, errors.New("biz_content of Alipay-Raw is not one JSON object")
	}
	n.Content = json.RawMessage(f["biz_content"])
	return n, nil
}
