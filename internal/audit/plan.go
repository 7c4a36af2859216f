package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// MaxWithoutExpect is how many items an operator may touch without having said
// their number.
const MaxWithoutExpect = 1000

// maxParameters keeps a record far below what one message may hold.
const maxParameters = 50

var parameterName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)

// Plan is what a writing verb would do. It is a value: the guard works on a
// copy. It holds no personal data: it is kept for a year.
type Plan struct {
	Verb   string // as the operator types it: "replay", "dlq redrive"
	App    string // the app_id; empty when there are several
	Items  int    // how many things would be written, moved or changed
	Bytes  int64  // how many bytes that is
	First  uint64 // the stream sequences of the range; both 0 when it has none
	Last   uint64
	Target string // where to: a subject, a stream, an API operation

	// Parameters is what was asked for, as the flags of the verb give it. Names
	// are lower case (a-z, then a-z 0-9 _ -). Long values are cut in the record;
	// the digest covers all of them.
	Parameters map[string]string
}

// NeedsExpect says whether executing the plan takes the operator's own count.
func (p Plan) NeedsExpect() bool { return p.Items > MaxWithoutExpect }

// Digest is the hex SHA-256 over every field of the plan. Two plans have the
// same digest exactly if they say the same; a nil and an empty map of
// parameters do.
func (p Plan) Digest() string {
	b := []byte("alipay-notify plan v1\n")
	b = appendText(b, p.Verb)
	b = appendText(b, p.App)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Items)) //nolint:gosec // only a different number has to give different bytes
	b = binary.BigEndian.AppendUint64(b, uint64(p.Bytes)) //nolint:gosec // the same
	b = binary.BigEndian.AppendUint64(b, p.First)
	b = binary.BigEndian.AppendUint64(b, p.Last)
	b = appendText(b, p.Target)
	b = binary.BigEndian.AppendUint64(b, uint64(len(p.Parameters)))
	for _, name := range slices.Sorted(maps.Keys(p.Parameters)) {
		b = appendText(b, name)
		b = appendText(b, p.Parameters[name])
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// appendText writes the length before the text, so that no two sequences of
// texts run together into the same bytes.
func appendText(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}

// String states the plan in one line for the operator, safe for a terminal:
// "replay: 1,204 items (3.4 MiB), sequences 17 to 90210, app 2021..., to X".
func (p Plan) String() string {
	noun := "items"
	if p.Items == 1 {
		noun = "item"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %s (%s)", clean(p.Verb), grouped(p.Items), noun, size(p.Bytes))
	switch {
	case p.First == 0 && p.Last == 0:
	case p.First == p.Last:
		fmt.Fprintf(&b, ", sequence %d", p.First)
	default:
		fmt.Fprintf(&b, ", sequences %d to %d", p.First, p.Last)
	}
	if p.App != "" {
		fmt.Fprintf(&b, ", app %s", clean(p.App))
	}
	fmt.Fprintf(&b, ", to %s", clean(p.Target))
	return b.String()
}

// check finds the verb's own mistakes; no operator can cause or cure them.
func (p Plan) check() error {
	var errs []error
	if isBlank(p.Verb) {
		errs = append(errs, errors.New("no verb"))
	}
	if isBlank(p.Target) {
		errs = append(errs, errors.New("no target"))
	}
	if p.Items < 0 || p.Bytes < 0 {
		errs = append(errs, fmt.Errorf("negative size: %d items, %d bytes", p.Items, p.Bytes))
	}
	if p.First > p.Last || (p.First == 0) != (p.Last == 0) {
		errs = append(errs, fmt.Errorf("no range: sequences %d to %d", p.First, p.Last))
	}
	if len(p.Parameters) > maxParameters {
		errs = append(errs, fmt.Errorf("%d parameters, at most %d", len(p.Parameters), maxParameters))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Parameters)) {
		if !parameterName.MatchString(name) {
			errs = append(errs, fmt.Errorf("parameter name %q", name))
			break
		}
	}
	if len(errs) == 0 {
		return nil
	}
	text := make([]string, len(errs))
	for i, err := range errs {
		text[i] = err.Error()
	}
	return fmt.Errorf("plan of %q is not one: %s", p.Verb, strings.Join(text, "; "))
}

func (p Plan) clone() Plan {
	p.Parameters = maps.Clone(p.Parameters)
	return p
}

func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func size(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, unit := float64(n)/1024, 0
	const units = "KMGTPE"
	for f >= 1023.95 && unit < len(units)-1 { // 1023.95 would print as 1024.0
		f /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", f, units[unit])
}
