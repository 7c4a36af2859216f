package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// What Alipay does and what we promise, as far as values must fit it.
const (
	retryGap   = 2 * time.Minute               // before Alipay's first retry
	retrySpan  = 24*time.Hour + 22*time.Minute // until its last one
	minSigned  = 25 * time.Hour                // retrySpan, and some time on the way
	minRecall  = 26 * time.Hour                // the duplicates window without Redis
	minLease   = 5 * time.Second               // longer than the deadline of a publish
	minBody    = 1 << 10
	maxBody    = 16 << 20
	maxKeys    = 4 // signature checks that one request may cost
	maxAppID   = 32
	maxReplica = 5 // what JetStream takes
)

// Validate tells what cannot work, everything at once, as Problems. It changes
// nothing, opens nothing and asks nobody: whether files exist and servers
// answer is for those who open them to say.
func (c Config) Validate() error { return c.check().err() }

func (c Config) check() Problems {
	var p Problems
	c.HTTP.check(&p)
	c.checkListeners(&p)
	c.checkApps(&p)
	checkBaseURL(&p, c.OpenAPI.BaseURL, c.Dev)
	c.Redis.check(&p)
	c.NATS.check(&p)
	oneOf(&p, "log.level", c.Log.Level, "trace", "debug", "info", "warn", "error")
	oneOf(&p, "log.format", c.Log.Format, "json", "console")
	return p
}

func (h HTTP) check(p *Problems) {
	checkPath(p, h.Path)
	if h.MaxBody < minBody || h.MaxBody > maxBody {
		p.add("http.max_body", "must be %d (1 KiB) to %d bytes (16 MiB): less refuses genuine notifications, more lets strangers fill the memory", minBody, maxBody)
	}
	if h.MaxInFlight < 1 {
		p.add("http.max_in_flight", "must be at least 1: otherwise every notification is answered 503")
	}
	if h.MaxSignedAge != 0 && h.MaxSignedAge < minSigned {
		p.add("http.max_signed_age", "must be at least 25h, or 0 for no limit: Alipay's genuine retries end only after %s", short(retrySpan))
	}
	for i, proxy := range h.TrustedProxies {
		_, errPrefix := netip.ParsePrefix(proxy)
		_, errAddr := netip.ParseAddr(proxy)
		if errPrefix != nil && errAddr != nil {
			p.add(index("http.trusted_proxies", i), "must be an address or a CIDR, such as 10.0.0.0/8: a name can come to mean another machine")
		}
	}
}

// checkPath keeps the path to what one route can mean: the router reads : and
// * as patterns, and a client may send other spellings of the rest.
func checkPath(p *Problems, path string) {
	const key = "http.path"
	foreign := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`%\"<>^{|}`+"`", r) }
	switch {
	case !strings.HasPrefix(path, "/"):
		p.add(key, "must begin with /")
	case strings.ContainsAny(path, "?#"):
		p.add(key, "must be a path alone, without a query (?) or fragment (#)")
	case strings.ContainsAny(path, ":*"):
		p.add(key, "must not hold : or *, which the router would read as patterns")
	case strings.ContainsFunc(path, foreign):
		p.add(key, "must be of plain characters, without spaces, percent signs and the like: it is compared as it arrives")
	case path != "/" && strings.HasSuffix(path, "/"):
		p.add(key, "must not end with /: /<app_id> is put behind it")
	case slices.ContainsFunc(strings.Split(path, "/"), func(s string) bool { return s == "." || s == ".." }),
		strings.Contains(path, "//"):
		p.add(key, "must not hold //, /./ or /../, which clients and proxies take out")
	}
}

func (c Config) checkApps(p *Problems) {
	if len(c.Apps) == 0 {
		p.add("apps", "must name at least one application: without one every notification is refused")
	}
	first := map[string]int{}
	for i, app := range c.Apps {
		key := index("apps", i)
		app.check(p, key)
		if j, again := first[app.AppID]; again && app.AppID != "" {
			p.add(key+".app_id", "is that of %s too; put all keys of an application into one entry", index("apps", j))
			continue
		}
		first[app.AppID] = i
	}
}

func (a App) check(p *Problems, key string) {
	notDigit := func(r rune) bool { return r < '0' || r > '9' }
	switch {
	case a.AppID == "":
		p.add(key+".app_id", "is missing: the number that Alipay gave the application, in quotes")
	case strings.ContainsFunc(a.AppID, notDigit), len(a.AppID) > maxAppID:
		p.add(key+".app_id", "must be digits only, at most %d of them", maxAppID)
	}
	switch n := len(a.AlipayPublicKeys) + len(a.AlipayCerts); {
	case n == 0:
		p.add(key+".alipay_public_keys", "must name at least one file here or in alipay_certs: without Alipay's key nothing can be verified")
	case n > maxKeys:
		p.add(key+".alipay_public_keys", "must be at most %d files together with alipay_certs: a forged request costs a check with each; take out the retired ones", maxKeys)
	}
	checkFiles(p, key+".alipay_public_keys", a.AlipayPublicKeys)
	checkFiles(p, key+".alipay_certs", a.AlipayCerts)
	checkFiles(p, key+".aes_keys", a.AESKeys)
	checkSignTypes(p, key+".sign_types", a.SignTypes)
	checkBindingURL(p, key+".binding_url", a.BindingURL)
}

// checkFiles looks at names only; opening them is the commands' work.
func checkFiles(p *Problems, key string, names []string) {
	for i, name := range names {
		if name == "" {
			p.add(index(key, i), "is empty: name a file, or take the line out")
		} else if slices.Contains(names[:i], name) {
			p.add(index(key, i), "names a file that is in the list already")
		}
	}
}

func checkSignTypes(p *Problems, key string, types []string) {
	if len(types) == 0 {
		p.add(key, "must hold at least one of RSA2 and RSA: otherwise every signature is refused")
	}
	for i, name := range types {
		switch {
		case slices.Contains(types[:i], name):
			p.add(index(key, i), "is in the list already")
		case name == "SM2":
			p.add(index(key, i), "SM2 is not supported; let Alipay sign with RSA2")
		case name != "RSA2" && name != "RSA":
			p.add(index(key, i), "must be RSA2, or RSA where an application still has it, in capitals")
		}
	}
}

func (r Redis) check(p *Problems) {
	checkRedisURL(p, r.URL)
	if r.Lease < minLease || r.Lease > retryGap {
		p.add("redis.lease", "must be 5s to 2m: shorter, and it runs out while a publish still waits for its ack; longer, and Alipay's first retry still meets the claim of a dead process")
	}
	if r.Retention < minRecall {
		p.add("redis.retention", "must be at least 26h: Alipay retries for %s, and a retry of what is forgotten becomes a second event", short(retrySpan))
	}
	oneOf(p, "redis.on_unavailable", r.OnUnavailable, "publish", "refuse")
}

func (n NATS) check(p *Problems) {
	checkNATSURL(p, n.URL)
	switch {
	case n.Replicas < 1 || n.Replicas > maxReplica || n.Replicas%2 == 0:
		p.add("nats.replicas", "must be 1, 3 or 5: streams take at most 5, and an even number survives no more failures than the odd one below it")
	case n.URL == "" && n.Replicas != 1:
		p.add("nats.replicas", "must be 1 while nats.url is empty: the embedded server is a single node")
	}
	if n.MaxAge < minRecall {
		p.add("nats.max_age", "must be at least 26h: Alipay retries for %s, and the duplicates window cannot be longer than events are kept", short(retrySpan))
	}
	if n.MaxBytes < 0 {
		p.add("nats.max_bytes", "must be 0 (60 %% of the free disk) or more: there is no \"unlimited\", a disk ends")
	}
	if n.URL == "" && n.Embedded.Dir == "" {
		p.add("nats.embedded.dir", "must name a directory while nats.url is empty: the embedded server keeps the events there")
	}
}

// oneOf takes a closed set of words.
func oneOf(p *Problems, key, value string, words ...string) {
	if !slices.Contains(words, value) {
		last := len(words) - 1
		p.add(key, "must be %s or %s", strings.Join(words[:last], ", "), words[last])
	}
}

// short is d without the zero units that time.Duration prints.
func short(d time.Duration) string { return strings.TrimSuffix(d.String(), "0s") }
