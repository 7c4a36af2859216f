package config

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// address is a URL taken apart by hand: net/url refuses a list of hosts, and
// says so with the password in the message.
type address struct {
	scheme   string
	userinfo string // as written
	hosts    string // as written, perhaps several
	path     string // with its slash
}

// escapeHint ends the messages about what a raw password does to a URL.
const escapeHint = "; in a user or password, write : / ? # @ % and commas percent-encoded"

// splitURL takes raw apart; wrong says what is not right about it.
func splitURL(raw string) (a address, wrong string) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return a, "must begin with a scheme and ://"
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return a, "must not hold spaces or line breaks"
	}
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	a.scheme, a.hosts = scheme, authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		a.userinfo, a.hosts = authority[:i], authority[i+1:]
	}
	// A raw / in the password ends the authority early, and its rest would be
	// taken for a path and shown as one.
	if strings.ContainsRune(tail, '@') {
		return a, "must not hold an @ behind the host, where it is written %40" + escapeHint
	}
	// One host in place of the list, and net/url can look at all the rest. Its
	// error holds the URL, so it is not passed on.
	if _, err := url.Parse("x://" + a.userinfo + "@host" + tail); err != nil {
		return a, "is not a valid URL" + escapeHint
	}
	a.path, _, _ = strings.Cut(tail, "?")
	a.path, _, _ = strings.Cut(a.path, "#")
	return a, ""
}

func checkRedisURL(p *Problems, raw string) {
	if raw == "" {
		return
	}
	a, wrong := splitURL(raw)
	if wrong == "" {
		wrong = a.wrongForRedis()
	}
	if wrong != "" {
		p.add("redis.url", "%s", wrong)
	}
}

// wrongForRedis says what Redis cannot use about the address.
func (a address) wrongForRedis() string {
	path := strings.Trim(a.path, "/")
	scheme, topology, _ := strings.Cut(a.scheme, "+")
	switch a.scheme {
	case "unix":
		if a.hosts != "" || path == "" {
			return "must be unix:///path/of/the/socket, the path being absolute"
		}
		return ""
	case "redis", "rediss":
		if strings.Contains(a.hosts, ",") {
			return "names several hosts: use the scheme " + scheme + "+sentinel or " + scheme + "+cluster" + escapeHint
		}
	case "redis+sentinel", "rediss+sentinel":
		var master string
		if master, path, _ = strings.Cut(path, "/"); master == "" {
			return "must name the master behind the sentinels, as in " + a.scheme + "://host:26379,host:26379/master"
		}
	case "redis+cluster", "rediss+cluster":
	default:
		return "must begin with redis, rediss, unix, redis+sentinel, rediss+sentinel, redis+cluster or rediss+cluster, and ://"
	}
	if path != "" && topology == "cluster" {
		return "must end behind the hosts: a cluster has no databases"
	}
	if _, err := strconv.ParseUint(path, 10, 16); err != nil && path != "" {
		return "must end without a path, or with / and the number of the database" + escapeHint
	}
	return a.wrongHosts()
}

// wrongHosts says what is wrong with the host or the list of hosts.
func (a address) wrongHosts() string {
	for i, host := range strings.Split(a.hosts, ",") {
		if !isHostPort(host) {
			return "host " + strconv.Itoa(i+1) + " is neither host nor host:port" + escapeHint
		}
	}
	return ""
}

func checkNATSURL(p *Problems, list string) {
	const key = "nats.url"
	if list == "" {
		return
	}
	websockets := 0
	urls := strings.Split(list, ",")
	for i, raw := range urls {
		a, wrong := splitURL(strings.TrimSpace(raw))
		switch {
		case wrong != "":
		case !slices.Contains([]string{"nats", "tls", "ws", "wss"}, a.scheme):
			wrong = "must begin with nats, tls, ws or wss, and ://"
		default:
			wrong = a.wrongHosts()
		}
		if wrong != "" {
			p.add(key, "URL %d of %d %s", i+1, len(urls), wrong)
		}
		if strings.HasPrefix(a.scheme, "ws") {
			websockets++
		}
	}
	if websockets != 0 && websockets != len(urls) {
		p.add(key, "mixes WebSocket URLs with others, which the client refuses")
	}
}

func checkBaseURL(p *Problems, raw string, dev bool) {
	const key = "openapi.base_url"
	a, wrong := splitURL(raw)
	switch {
	case wrong != "":
	case a.scheme != "https" && a.scheme != "http":
		wrong = "must begin with https://"
	case a.scheme == "http" && !dev:
		wrong = "must begin with https://, and may be http only with dev: true: answers and tokens would cross the network in the clear"
	case a.userinfo != "" || strings.ContainsAny(raw, "?#"):
		wrong = "must be a URL without user, query and fragment: requests add their own"
	default:
		wrong = a.wrongHost()
	}
	if wrong != "" {
		p.add(key, "%s", wrong)
	}
}

func checkBindingURL(p *Problems, key, raw string) {
	if raw == "" {
		return
	}
	a, wrong := splitURL(raw)
	switch {
	case wrong != "":
	case a.scheme != "https" && a.scheme != "http":
		wrong = "must begin with https:// or http://: a phone opens it"
	default:
		wrong = a.wrongHost()
	}
	if wrong != "" {
		p.add(key, "%s", wrong)
	}
}

// wrongHost is wrongHosts where only one host makes sense.
func (a address) wrongHost() string {
	if !isHostPort(a.hosts) {
		return "must name a host, or host:port, behind ://"
	}
	return ""
}
