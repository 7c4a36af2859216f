package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// receiver is one of the two under test, with lines of its own to the three
// NATS nodes.
type receiver struct {
	*unit
	url, ops string
	lines    [3]*proxy // to the NATS nodes
	ready    atomic.Bool
}

// startReceivers writes the configurations, provisions the streams and starts
// the receivers. redisURL is what they are told of Redis.
func (l *lab) startReceivers(ctx context.Context, redisURL string) error {
	if err := os.WriteFile(filepath.Join(l.dir, "alipay.pem"), l.app.PublicPEM, 0o600); err != nil {
		return err
	}
	for i := range l.receivers {
		r, err := l.newReceiver(i, redisURL)
		if err != nil {
			return err
		}
		l.receivers[i] = r
	}
	var direct []string // an operator's lines are not broken
	for _, n := range l.nats.nodes {
		direct = append(direct, "nats://"+address(n.port))
	}
	if _, err := l.configure("operator", "0", "0", redisURL, direct); err != nil {
		return err
	}
	if err := l.provision(ctx); err != nil {
		return err
	}
	for _, r := range l.receivers {
		if err := r.start(); err != nil {
			return err
		}
	}
	go l.lookAtReadiness()
	return l.receiversReady(ctx)
}

func (l *lab) newReceiver(i int, redisURL string) (*receiver, error) {
	http, err := l.next()
	if err != nil {
		return nil, err
	}
	ops, err := l.next()
	if err != nil {
		return nil, err
	}
	r := &receiver{url: "http://" + address(http) + "/alipay/notify", ops: "http://" + address(ops)}
	var urls []string
	for j, n := range l.nats.nodes {
		if r.lines[j], err = l.proxy(address(n.port)); err != nil {
			return nil, err
		}
		urls = append(urls, "nats://"+r.lines[j].addr())
	}
	name := fmt.Sprint("receiver-", i+1)
	config, err := l.configure(name, http, ops, redisURL, urls)
	if err != nil {
		return nil, err
	}
	r.unit, err = l.unit(name, l.tools.receiver, "--config", config)
	if err == nil && l.options.breaks != "" {
		r.env = []string{"ALIPAY_NOTIFY_BREAK=" + l.options.breaks}
	}
	return r, err
}

// configure writes a configuration and gives the name of its file.
func (l *lab) configure(name, http, ops, redisURL string, urls []string) (string, error) {
	section := func(pairs ...any) map[string]any {
		m := map[string]any{}
		for k := 0; k < len(pairs); k += 2 {
			m[pairs[k].(string)] = pairs[k+1]
		}
		return m
	}
	policy := "publish"
	if l.options.refuse {
		policy = "refuse"
	}
	text, err := json.MarshalIndent(section( // JSON is YAML
		"http", section("listen", address(http)),
		"ops", section("listen", address(ops)),
		"apps", []any{section("app_id", l.app.ID, "alipay_public_keys", []string{"alipay.pem"})},
		"redis", section("url", redisURL, "lease", lease.String(), "on_unavailable", policy),
		"nats", section("url", strings.Join(urls, ","), "replicas", 3, "max_bytes", maxBytes),
	), "", "  ")
	if err != nil {
		return "", err
	}
	file := filepath.Join(l.dir, name+".json")
	return file, os.WriteFile(file, text, 0o600)
}

// provision lays the streams out, as an operator does.
func (l *lab) provision(ctx context.Context) error {
	var out []byte
	err := await(ctx, 2*patience, "the streams are provisioned", func(ctx context.Context) bool {
		var err error
		out, err = command(ctx, l.tools.receiver, "provision", "--config", filepath.Join(l.dir, "operator.json")).CombinedOutput()
		return err == nil
	})
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return err
}

// lookAtReadiness asks both receivers five times a second, as a balancer does.
func (l *lab) lookAtReadiness() {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{}}
	for _, r := range l.receivers {
		go func() {
			for l.life.Err() == nil {
				r.ready.Store(get(l.life, client, r.ops+"/readyz") != "")
				pass(l.life, 200*time.Millisecond)
			}
		}()
	}
}

// get gives the body of a page that was answered with 200, and else nothing.
func get(ctx context.Context, client *http.Client, url string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return ""
	}
	answer, err := client.Do(request)
	if err != nil {
		return ""
	}
	defer answer.Body.Close() //nolint:errcheck // it is read
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}

// receiversReady waits until both take notifications. A receiver looks at the
// layout of the streams every minute, so that it may take one to see that what
// was wrong with them is over.
func (l *lab) receiversReady(ctx context.Context) error {
	for _, r := range l.receivers {
		if err := await(ctx, 3*patience, r.name+" is ready", func(context.Context) bool { return r.ready.Load() }); err != nil {
			return err
		}
	}
	return nil
}

// mendReceivers undoes whatever was done to them.
func (l *lab) mendReceivers() error {
	for _, r := range l.receivers {
		r.resume()
		if err := r.start(); err != nil {
			return err
		}
	}
	return nil
}

// mendLines undoes whatever was done to the lines between receivers and NATS.
func (l *lab) mendLines() {
	for _, r := range l.receivers {
		for _, line := range r.lines {
			line.mend()
		}
	}
}
