package config

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// listener is a parsed listen address.
type listener struct {
	key, host string
	port      int
}

// checkListeners checks each listen address, and that they do not collide.
func (c Config) checkListeners(p *Problems) {
	var taken []listener
	for _, entry := range []struct{ key, address string }{
		{"http.listen", c.HTTP.Listen},
		{"ops.listen", c.Ops.Listen},
		{"nats.embedded.listen", c.NATS.Embedded.Listen},
	} {
		l, wrong := parseListener(entry.key, entry.address)
		if wrong != "" {
			p.add(entry.key, "%s", wrong)
			continue
		}
		if l.key == "nats.embedded.listen" {
			if c.NATS.URL != "" { // not used
				continue
			}
			if !isLoopback(l.host) {
				p.add(l.key, "must be a loopback address, such as 127.0.0.1:4222: the traffic is not encrypted, and a token is all that guards it")
			}
		}
		for _, other := range taken {
			if l.collides(other) {
				p.add(l.key, "is taken by %s already: give each its own port", other.key)
			}
		}
		taken = append(taken, l)
	}
}

// parseListener reads host:port; wrong says what is not right about it.
func parseListener(key, address string) (l listener, wrong string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return l, "must be host:port, such as :8080, 127.0.0.1:9090 or [::1]:9090"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return l, "must end with a port number from 0 (any free one) to 65535"
	}
	if host != "" && !isHost(host) {
		return l, "must begin with an address or a host name, or with nothing for all addresses"
	}
	return listener{key: key, host: host, port: int(n)}, ""
}

// collides tells whether the two cannot both be listened on.
func (l listener) collides(other listener) bool {
	if l.port != other.port || l.port == 0 {
		return false
	}
	a, b := canonical(l.host), canonical(other.host)
	return a == b || isWildcard(a, b) || isWildcard(b, a)
}

// isWildcard tells whether host means all addresses, other among them. ::
// takes the port of IPv4 as well, 0.0.0.0 only that.
func isWildcard(host, other string) bool {
	return host == "::" || host == "0.0.0.0" && !strings.Contains(other, ":")
}

// canonical is one spelling for hosts that mean the same.
func canonical(host string) string {
	switch host {
	case "":
		return "::"
	case "localhost":
		return "127.0.0.1"
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String()
	}
	return strings.ToLower(host)
}

// isLoopback tells an address that other machines cannot reach.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(canonical(host))
	return err == nil && addr.IsLoopback()
}

// hostPattern is a host name or an IPv4 address, underscores allowed as in
// the service names of container networks.
var hostPattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$`)

func isHost(host string) bool {
	if hostPattern.MatchString(host) {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// isHostPort tells host or host:port, as URLs have it: IPv6 in brackets, and
// the port from 1 up.
func isHostPort(s string) bool {
	var host, port string
	var hasPort bool
	if rest, ok := strings.CutPrefix(s, "["); ok {
		var closed bool
		if host, port, closed = strings.Cut(rest, "]"); !closed {
			return false
		}
		addr, err := netip.ParseAddr(host)
		if err != nil || !addr.Is6() {
			return false
		}
		if port == "" {
			return true
		}
		if port, hasPort = strings.CutPrefix(port, ":"); !hasPort {
			return false
		}
	} else {
		host, port, hasPort = strings.Cut(s, ":")
		if !hostPattern.MatchString(host) {
			return false
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return !hasPort || err == nil && n > 0
}
