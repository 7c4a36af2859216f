package events

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
)

// maxHeader is what the headers of one event may take, of the 64 KiB that
// JetStream allows. The rest is for what a replay adds.
const maxHeader = 60 << 10

// The values of Alipay-Raw-Encoding; verbatim bytes have no such header.
const (
	rawBase64     = "base64"
	rawGzipBase64 = "gzip+base64"
)

var errRawTooLarge = errors.New("too large even when compressed")

// encodeRaw makes a header value of a request body: as it is where it is wholly
// of bytes 0x21-0x7E, as form bodies are, else base64, and base64 of its gzip
// when that alone fits into budget bytes.
func encodeRaw(raw string, budget int) (value, encoding string, err error) {
	if len(raw) <= budget && printable(raw) {
		return raw, "", nil
	}
	if base64.StdEncoding.EncodedLen(len(raw)) <= budget && !printable(raw) {
		return base64.StdEncoding.EncodeToString([]byte(raw)), rawBase64, nil
	}
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	if _, err := io.WriteString(zip, raw); err != nil {
		return "", "", fmt.Errorf("compress: %w", err)
	}
	if err := zip.Close(); err != nil {
		return "", "", fmt.Errorf("compress: %w", err)
	}
	if base64.StdEncoding.EncodedLen(b.Len()) > budget {
		return "", "", errRawTooLarge
	}
	return base64.StdEncoding.EncodeToString(b.Bytes()), rawGzipBase64, nil
}

// maxRaw bounds what decoding a stored request may allocate: a few KiB of gzip
// can say gigabytes.
const maxRaw = 64 << 20

var errRawBomb = fmt.Errorf("more than %d MiB when it is unpacked", maxRaw>>20)

// decodeRaw gives the request body back, byte for byte.
func decodeRaw(value, encoding string) (string, error) {
	switch encoding {
	case "":
		return value, nil
	case rawBase64:
		raw, err := base64.StdEncoding.DecodeString(value)
		return string(raw), err
	case rawGzipBase64:
		zipped, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return "", err
		}
		zip, err := gzip.NewReader(bytes.NewReader(zipped))
		if err != nil {
			return "", err
		}
		raw, err := io.ReadAll(io.LimitReader(zip, maxRaw+1))
		if err == nil && len(raw) > maxRaw {
			return "", errRawBomb // a part of the request would pass for the whole of it
		}
		return string(raw), err
	}
	return "", fmt.Errorf("unknown %s %q", HeaderRawEncoding, encoding)
}

func printable(s string) bool {
	// Eight bytes at a time, on the path of every notification: a byte of 0x21-0x7E has
	// no high bit, before and after 1 is added, and keeps one when 0x21 is taken off it
	// beside a set high bit. None of these carries into the next byte.
	const each = 0x0101010101010101
	for ; len(s) >= 8; s = s[8:] {
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56 // one load
		if high := x | (x + each) | ^(x | each<<7 - each*0x21); high&(each<<7) != 0 {
			return false
		}
	}
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
