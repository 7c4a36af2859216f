package proof

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// maxBody bounds what unpacking may take: a few KiB of gzip can say gigabytes.
// The receiver's own limit (http.max_body) is 16 MiB at the most.
const maxBody = 16 << 20

// unpack gives the body of the request as Alipay sent it.
func unpack(raw, encoding string) (string, error) {
	if raw == "" {
		return "", errors.New("Alipay-Raw is missing")
	}
	if encoding == "" {
		return raw, nil
	}
	body, err := base64.StdEncoding.DecodeString(raw)
	if err != nil {
		return "", errors.New("Alipay-Raw is not base64")
	}
	switch encoding {
	case "base64":
		return string(body), nil
	case "gzip+base64":
		zip, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return "", errors.New("Alipay-Raw is not gzip")
		}
		body, err = io.ReadAll(io.LimitReader(zip, maxBody+1))
		if err != nil || len(body) > maxBody {
			return "", errors.New("Alipay-Raw is damaged gzip, or too large")
		}
		return string(body), nil
	}
	return "", errors.New("Alipay-Raw-Encoding is unknown")
}

// form is the fields of a request, percent-decoded once, in the bytes of whatever
// charset they came in: those bytes are what is signed.
type form map[string]string

const maxFields = 256

// parseForm refuses what would make the signed string a matter of opinion.
func parseForm(body string) (form, error) {
	f := form{}
	for pair := range strings.SplitSeq(body, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, errForm
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, errForm
		}
		if _, repeated := f[name]; repeated || strings.ContainsAny(name, "&=") || len(f) == maxFields {
			return nil, errForm
		}
		f[name] = value
	}
	return f, nil
}

var errForm = errors.New("Alipay-Raw is no form: a broken escape, or a repeated or impossible name")

// signingString is what Alipay signed: name=value in the byte order of the names,
// joined by '&', nothing escaped, without sign.
func (f form) signingString(how rule) (string, error) {
	fields := maps.Clone(f)
	delete(fields, "sign")
	sent, there := f["sign_type"]
	// The message may not choose the algorithm: only RSA2 is taken.
	if sent != "" && sent != "RSA2" {
		return "", errors.New("sign_type of Alipay-Raw is not RSA2")
	}
	switch how.signType {
	case "drop":
		delete(fields, "sign_type")
	case "insert":
		if there {
			return "", errors.New("Alipay-Proof inserts a sign_type that Alipay-Raw has")
		}
		fields["sign_type"] = "RSA2"
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if fields[name] != "" || !how.dropEmpty {
			pairs = append(pairs, name+"="+fields[name])
		}
	}
	return strings.Join(pairs, "&"), nil
}
