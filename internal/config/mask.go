package config

import (
	"regexp"
	"strings"
)

// mask stands for what is not shown.
const mask = "***"

// beginning is where the next URL of a comma-separated list begins.
var beginning = regexp.MustCompile(`,\s*[A-Za-z][A-Za-z0-9+.-]*://`)

// maskURLs is a URL, or several with commas between, without what could be a
// secret. It does not parse them: it must hold for what is not a URL at all,
// such as one with a raw / or @ in its password, and so it hides too much
// rather than too little.
func maskURLs(list string) string {
	var out strings.Builder
	for {
		next := beginning.FindStringIndex(list)
		if next == nil {
			out.WriteString(maskURL(list))
			return out.String()
		}
		out.WriteString(maskURL(list[:next[0]]))
		out.WriteByte(',')
		list = list[next[0]+1:]
	}
}

// schemePattern is what may stand before :// and not be part of a password.
var schemePattern = regexp.MustCompile(`^\s*[A-Za-z][A-Za-z0-9+.-]*$`)

// maskURL masks one URL, which may have several hosts.
func maskURL(raw string) string {
	scheme, rest := "", raw
	if before, after, ok := strings.Cut(raw, "://"); ok && schemePattern.MatchString(before) {
		scheme, rest = before+"://", after
	}
	// Up to the last @, since a raw one may be part of the password. Whatever
	// is behind it is hosts, path and query.
	user := ""
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		user, rest = mask+"@", rest[i+1:]
	}
	hosts, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		hosts, tail = rest[:i], rest[i:]
	}
	for host := range strings.SplitSeq(hosts, ",") {
		// user:password without a host looks like host:port with a bad port.
		if host != "" && !isHostPort(strings.TrimSpace(host)) {
			return scheme + user + mask
		}
	}
	return scheme + user + hosts + maskTail(tail)
}

// secretName is how options are called whose values are not for showing.
var secretName = regexp.MustCompile(`(?i)pass|pwd|pw$|secret|token|auth|cred|key|jwt|seed|sig`)

// maskTail masks the secret options of a path?query; fragments say nothing to
// any server, so that one is a mistake and may be a piece of a password.
func maskTail(tail string) string {
	tail, _, hasFragment := strings.Cut(tail, "#")
	path, query, hasQuery := strings.Cut(tail, "?")
	if hasQuery {
		options := strings.Split(query, "&")
		for i, option := range options {
			if name, _, _ := strings.Cut(option, "="); secretName.MatchString(name) {
				options[i] = name + "=" + mask
			}
		}
		path += "?" + strings.Join(options, "&")
	}
	if hasFragment {
		path += "#" + mask
	}
	return path
}
