//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"alipay-notify/internal/alipaytest"
)

// TestConformance sends everything that the stand-in can send, and what is hard
// to write down, and has the official CloudEvents SDKs read the stream. What
// they see must be valid, the same for both, and what was sent; its data must be
// as the schema says that it names. A broken message must be refused by both.
func TestConformance(t *testing.T) {
	t.Parallel()
	checkers, schemas := buildCheckers(t), loadSchemas(t)
	app := alipaytest.NewApp(t, "")
	config := newConfig(t, app)
	config.file(t, "aes.key", []byte(base64.StdEncoding.EncodeToString(app.AESKey)))
	apps := config.keys["apps"].([]any)
	apps[0].(map[string]any)["aes_keys"] = []string{"aes.key"}
	s := &sender{receiver: ready(t, config), app: app, schemas: schemas}
	s.sendTypes(t)
	s.sendHostile(t)
	s.sendOdd(t)
	stored := s.receiver.events(t)
	if len(stored) != len(s.want) {
		t.Fatalf("%d events are stored, want %d", len(stored), len(s.want))
	}

	server := slices.Clip([]string{"--nats", s.receiver.nats, "--token-file", filepath.Join(config.dir, "nats", "token")})
	seen := map[string][]cloudEvent{}
	for sdk, checker := range checkers {
		got := checker(t, append(server, "--stream", "ALIPAY_EVENTS")...)
		got.want(t, 0, fmt.Sprintf("%d messages of ALIPAY_EVENTS are valid CloudEvents", len(stored)))
		seen[sdk] = parseEvents(t, got.stdout)
	}
	if diff := cmp.Diff(seen["Go"], seen["JavaScript"]); diff != "" {
		t.Errorf("the SDKs do not agree (-Go +JavaScript):\n%s", diff)
	}
	if len(seen["Go"]) != len(stored) {
		t.Fatalf("the Go SDK read %d events, want %d", len(seen["Go"]), len(stored))
	}
	used := map[string]bool{}
	for i, got := range seen["Go"] {
		s.want[i].check(t, got, stored[i])
		id := got.Attributes["dataschema"]
		if used[id] = true; id == "" {
			continue
		}
		if schema := schemas.byID[id]; schema == nil {
			t.Errorf("%s: there is no schema %q", s.want[i].name, id)
		} else if err := schema.Validate(got.Data); err != nil {
			t.Errorf("%s: not as its schema: %v\n%s", s.want[i].name, err, stored[i].Data)
		}
	}
	noEvents := []string{"urn:alipay-notify:schema:audit.record:v1", "urn:alipay-notify:schema:expectation:v1"}
	for id := range schemas.byID {
		if !used[id] && !slices.Contains(noEvents, id) {
			t.Errorf("no event names the schema %s", id)
		}
	}
	t.Run("refused", func(t *testing.T) {
		testRefused(t, checkers, server, stored[0], jetStream(t, s.receiver.nats, config.token()))
	})
}

// cloudEvent is an event as the checkers print it.
type cloudEvent struct {
	Sequence   uint64
	Attributes map[string]string
	Extensions map[string]string
	Data       any
}

func parseEvents(t *testing.T, text string) (all []cloudEvent) {
	t.Helper()
	for line := range strings.Lines(text) {
		var e cloudEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("a checker printed %q: %v", line, err)
		}
		at, err := time.Parse(time.RFC3339, e.Attributes["time"])
		if err != nil {
			t.Fatalf("a checker printed the time %q: %v", e.Attributes["time"], err)
		}
		e.Attributes["time"] = instant(at) // its text is a matter of the SDK
		all = append(all, e)
	}
	return all
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// wanted is the event that must come of a request. Without Data, what the
// product makes of it is checked elsewhere.
type wanted struct {
	name string
	cloudEvent
}

func (w wanted) check(t *testing.T, got cloudEvent, stored *jetstream.RawStreamMsg) {
	t.Helper()
	if at, err := time.Parse(time.RFC3339, got.Extensions["receivedtime"]); err != nil || time.Since(at).Abs() > time.Hour {
		t.Errorf("%s: received at %q", w.name, got.Extensions["receivedtime"])
	}
	delete(got.Extensions, "receivedtime")
	published := any(dataOf(t, stored))
	if diff := cmp.Diff(published, got.Data); diff != "" {
		t.Errorf("%s: data (-published +decoded):\n%s", w.name, diff)
	}
	if w.Data == nil {
		w.Data = published
	}
	if text := w.Extensions["decodeerror"]; text != "" && strings.Contains(got.Extensions["decodeerror"], text) {
		w.Extensions["decodeerror"] = got.Extensions["decodeerror"]
	}
	w.Sequence = stored.Sequence
	if diff := cmp.Diff(w.cloudEvent, got); diff != "" {
		t.Errorf("%s (-sent +decoded):\n%s", w.name, diff)
	}
}

// checker runs one of the programs in ../conformance.
type checker func(t *testing.T, args ...string) result

// buildCheckers installs what the programs need, where it is missing.
func buildCheckers(t *testing.T) map[string]checker {
	t.Helper()
	const install = "%s is not in PATH: install it (apt-get install nodejs npm, brew install node): %v"
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf(install, "node", err)
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Fatalf(install, "npm", err)
	}
	in := func(dir, path string, args ...string) {
		cmd := command(path, args...)
		cmd.Dir = filepath.Join("..", "conformance", dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	const script = "../conformance/cloudevents-js/check.mjs"
	if _, err := os.Stat(filepath.Join(filepath.Dir(script), "node_modules")); errors.Is(err, fs.ErrNotExist) {
		in("cloudevents-js", npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	}
	check := filepath.Join(t.TempDir(), "check")
	in("cloudevents-go", "go", "build", "-o", check, ".")
	return map[string]checker{
		"Go":         func(t *testing.T, args ...string) result { return run(t, check, args...) },
		"JavaScript": func(t *testing.T, args ...string) result { return run(t, node, append([]string{script}, args...)...) },
	}
}

// schemaSet is the schemas of the repository as consumers find them: files.
type schemaSet struct {
	byID   map[string]*jsonschema.Schema
	byKind map[string]string // entity.action to $id
}

func loadSchemas(t *testing.T) schemaSet {
	t.Helper()
	files, err := filepath.Glob("../schemas/*.v1.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no schemas: %v", err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	set := schemaSet{byID: map[string]*jsonschema.Schema{}, byKind: map[string]string{}}
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "asyncapi.") {
			continue
		}
		compiled, err := compiler.Compile(file)
		if err != nil {
			t.Fatal(err)
		}
		id := strings.TrimSuffix(compiled.ID, "#")
		set.byID[id], set.byKind[strings.TrimSuffix(filepath.Base(file), ".v1.json")] = compiled, id
	}
	return set
}

// refusal is what spoils a message, and a word that the error has then.
type refusal struct {
	spoil func(m *nats.Msg)
	says  string
}

// refusals are messages that are no CloudEvents in binary mode.
var refusals = map[string]refusal{
	"no version":          {func(m *nats.Msg) { delete(m.Header, "ce-specversion") }, "ce-specversion"},
	"another version":     {set("ce-specversion", "0.3"), "specversion"},
	"an empty id":         {set("ce-id", ""), "ce-id"},
	"no type":             {func(m *nats.Msg) { delete(m.Header, "ce-type") }, "ce-type"},
	"a broken escape":     {set("ce-subject", "100%"), "ce-subject"},
	"overlong UTF-8":      {set("ce-subject", "%C0%A0"), "ce-subject"},
	"a bare space":        {set("ce-subject", "two words"), "ce-subject"},
	"encoded for no use":  {set("ce-subject", "%41"), "ce-subject"},
	"bare Chinese":        {set("ce-decodeerror", "券"), "ce-decodeerror"},
	"a time as SQL":       {set("ce-time", "2026-01-02%2015:04:05Z"), "ce-time"},
	"a time without zone": {set("ce-time", "2026-01-02T15:04:05"), "ce-time"},
	"capitals":            {set("ce-AuthAppID", "1"), "ce-AuthAppID"},
	"two of one":          {func(m *nats.Msg) { m.Header.Add("ce-subject", "other") }, "ce-subject"},
	"no schema's URI":     {set("ce-dataschema", "voucher"), "dataschema"},
	"structured mode":     {set("Content-Type", "application/cloudevents+json"), "structured"},
	"data that is cut":    {func(m *nats.Msg) { m.Data = m.Data[:len(m.Data)-1] }, "JSON"},
}

func set(name, value string) func(m *nats.Msg) {
	return func(m *nats.Msg) { m.Header[name] = []string{value} }
}

// testRefused publishes a good message, a spoilt one and the good one again,
// each spoilt one into a stream of its own: the checkers end at the second.
func testRefused(t *testing.T, checkers map[string]checker, server []string, good *jetstream.RawStreamMsg, js jetstream.JetStream) {
	cases := maps.Clone(refusals)
	cases["nothing is wrong"] = refusal{}
	for i, name := range slices.Sorted(maps.Keys(cases)) {
		stream := fmt.Sprintf("SCRATCH_%d", i)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := jetstream.StreamConfig{Name: stream, Subjects: []string{stream}, Storage: jetstream.MemoryStorage}
			if _, err := js.CreateStream(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			for n := range 3 {
				m := &nats.Msg{Subject: stream, Header: maps.Clone(good.Header), Data: good.Data}
				m.Header.Del("Nats-Msg-Id") // the stream would know it again
				if spoil := cases[name].spoil; spoil != nil && n == 1 {
					spoil(m)
				}
				if _, err := js.PublishMsg(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			code, printed, words := 1, 1, []string{stream + " 2: ", cases[name].says}
			if cases[name].spoil == nil {
				code, printed, words = 0, 3, nil
			}
			for sdk, check := range checkers {
				got := check(t, append(server, "--stream", stream)...)
				got.want(t, code, words...)
				if n := strings.Count(got.stdout, "\n"); n != printed || strings.Count(got.stderr, "\n") != 1 {
					t.Errorf("%s: %d events and this, want %d events and one line:\n%s", sdk, n, printed, got.stderr)
				}
			}
		})
	}
}
