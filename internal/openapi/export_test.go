package openapi

import "encoding/json"

// SetNonce makes a client's nonces and request ids the given one.
func SetNonce(c *Client, to string) { c.nonce = func() string { return to } }

// Decode is decode, and AdviceFor is adviceFor.
var (
	Decode    = decode
	AdviceFor = adviceFor
	Escape    = escape
)

// Members is members: the names, and the values as they came.
func Members(body []byte) (map[string]json.RawMessage, error) {
	all, err := members(body)
	out := make(map[string]json.RawMessage, len(all))
	for _, m := range all {
		out[m.name] = m.raw
	}
	return out, err
}

// Distance is distance.
var Distance = distance

// Encrypt is encrypt with a key as the console gives it.
func Encrypt(key Secret, plain string) (string, error) {
	block, err := parseAES(key)
	if err != nil {
		return "", err
	}
	return string(encrypt(block, []byte(plain))), nil
}
