package platform

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The kinds of Fault. The first group answers instead of doing what was asked;
// the second does it first, so that a client which takes the answer for the
// deed goes wrong.
const (
	Throttle     = "throttle"      // too many calls: 429, or 40005
	Unavailable  = "unavailable"   // 500 SYSTEM_ERROR, or 20000 isp.unknow-error
	HTML         = "html"          // 502 and a page for people
	NotProcessed = "not-processed" // 202, or 10003: ask again with the same parameters
	ClockSkew    = "clock-skew"    // its clock runs ahead by Fault.By, 15 min when that is 0

	Lost      = "lost"      // done, and then 502
	Truncated = "truncated" // half of the answer
	Unsigned  = "unsigned"  // a success that nobody has signed
	Tampered  = "tampered"  // a success changed after it was signed
	Rotated   = "rotated"   // names a certificate that the client does not have (certificate mode)
	Slashes   = "slashes"   // gateway.do signs the text with '\/' for '/' (PROTOCOL.md 4.2)
	Slow      = "slow"      // the answer waits for Fault.By, 10 s when that is 0; not scaled
)

// instead tells which group a kind belongs to, and which kinds there are.
var instead = map[string]bool{
	Throttle: true, Unavailable: true, HTML: true, NotProcessed: true, ClockSkew: true,
	Lost: false, Truncated: false, Unsigned: false, Tampered: false, Rotated: false, Slashes: false, Slow: false,
}

// FaultKinds are the names of all kinds.
func FaultKinds() []string { return slices.Sorted(maps.Keys(instead)) }

// Fault is something that goes wrong with calls on purpose.
type Fault struct {
	Kind        string        `json:"kind"`
	Probability float64       `json:"probability"`      // of each call; 1 is every one
	Method      string        `json:"method,omitempty"` // a method, or the beginning of some; empty: every call
	Count       int           `json:"count,omitempty"`  // how often at most; 0 is without end
	By          time.Duration `json:"-"`                // of slow and clock-skew; not scaled

	spent bool
}

// ParseFault reads KIND=PROBABILITY, as flags have it.
func ParseFault(s string) (Fault, error) {
	kind, chance, ok := strings.Cut(s, "=")
	p, err := strconv.ParseFloat(chance, 64)
	if !ok || err != nil {
		return Fault{}, fmt.Errorf("fault %q: want KIND=PROBABILITY, such as throttle=0.05", s)
	}
	f := Fault{Kind: kind, Probability: p}
	return f, f.check()
}

func (f Fault) check() error {
	switch _, known := instead[f.Kind]; {
	case !known:
		return fmt.Errorf("unknown fault %q: want one of %s", f.Kind, strings.Join(FaultKinds(), ", "))
	case !(f.Probability > 0 && f.Probability <= 1):
		return fmt.Errorf("fault %s: probability %v: want more than 0, and at most 1", f.Kind, f.Probability)
	case f.Count < 0 || f.By < 0:
		return fmt.Errorf("fault %s: count and by are not negative", f.Kind)
	}
	return nil
}

// AddFault lets something go wrong from now on. Of several that hit one call
// the first counts.
func (p *Platform) AddFault(f Fault) error {
	if err := f.check(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, &f)
	return nil
}

// ClearFaults ends all of them.
func (p *Platform) ClearFaults() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

// drawFault is what goes wrong with a call; its zero value is nothing.
func (p *Platform) drawFault(method string) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	hit := Fault{}
	for _, f := range p.faults {
		if f.spent || !strings.HasPrefix(method, f.Method) {
			continue
		}
		if p.luck.Float64() < f.Probability && hit.Kind == "" {
			if f.Count > 0 {
				f.Count--
				f.spent = f.Count == 0
			}
			hit = *f
		}
	}
	return hit
}

// now is what the clock shows to the call.
func (f Fault) now() time.Time {
	if f.Kind != ClockSkew {
		return time.Now()
	}
	if f.By == 0 {
		f.By = 15 * time.Minute
	}
	return time.Now().Add(f.By)
}

// onProblem is what is left of a fault when the answer is an error: the others
// are about successes.
func (f Fault) onProblem() Fault {
	if f.Kind == ClockSkew || f.Kind == Slow {
		return f
	}
	return Fault{}
}

// page is what a proxy says.
const page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"

func writePage(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusBadGateway)
	_, _ = w.Write([]byte(page))
}

// write sends an answer that is finished, as the fault has it.
func (f Fault) write(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	switch f.Kind {
	case Lost:
		clear(w.Header())
		writePage(w)
		return
	case Slow:
		if f.By == 0 {
			f.By = 10 * time.Second
		}
		timer := time.NewTimer(f.By)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	case Tampered:
		body = tamper(body)
	case ClockSkew:
		w.Header().Set("Date", f.now().UTC().Format(http.TimeFormat))
	}
	if status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	if f.Kind == Truncated {
		body = body[:len(body)/2] // less than was announced: the connection is cut
	}
	_, _ = w.Write(body)
}

// tamper changes what an answer says and leaves it readable.
func tamper(body []byte) []byte {
	out := bytes.Clone(body)
	colon := max(bytes.IndexByte(out, ':'), 0)
	for i := colon; i < len(out); i++ {
		if c := out[i]; c >= '0' && c <= '9' {
			out[i] = '0' + (c-'0'+1)%10
			return out
		}
	}
	return append(out, ' ') // nothing to change but the signed bytes
}
