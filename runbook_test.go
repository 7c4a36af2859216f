package alipaynotify_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const runbook = "docs/RUNBOOK.md"

// part is what stands under a second heading of a document.
func part(t *testing.T, text, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("there is no part %q", heading)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

// submatches are the first groups of all matches.
func submatches(pattern *regexp.Regexp, text string) []string {
	var all []string
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

var (
	alertPattern      = regexp.MustCompile(`(?m)^\s*- alert: (\S+)$`)
	alertLinkPattern  = regexp.MustCompile(`(?m)^\s*runbook: (\S+)$`)
	sectionPattern    = regexp.MustCompile(`(?m)^### (.+)$`)
	alertNamePattern  = regexp.MustCompile(`\b(AlipayNotify[A-Z]\w*)`)
	recipeNamePattern = regexp.MustCompile(`[Rr]ecipe:? ([A-Z][^.,;:]*)`)
)

// TestRunbookHasEveryAlert: whoever is woken finds the section, in the order of
// the alerts, and no section speaks of an alert that is not there.
func TestRunbookHasEveryAlert(t *testing.T) {
	t.Parallel()
	text, rules := readText(t, runbook), readText(t, "deploy/alerts.yaml")
	if lines := strings.Count(text, "\n"); lines > 400 {
		t.Errorf("%s has %d lines, want at most 400: nobody reads it at night", runbook, lines)
	}
	alerts := submatches(alertPattern, rules)
	if len(alerts) < 10 {
		t.Fatalf("found %d alerts; the pattern no longer finds them", len(alerts))
	}
	alertsPart := part(t, text, "Alerts")
	if sections := submatches(sectionPattern, alertsPart); !slices.Equal(sections, alerts) {
		t.Errorf("the sections are\n%q, want those of the alerts\n%q", sections, alerts)
	}
	var links []string
	for _, name := range alerts {
		links = append(links, runbook+"#"+strings.ToLower(name))
	}
	if got := submatches(alertLinkPattern, rules); !slices.Equal(got, links) {
		t.Errorf("the alerts link to\n%q, want\n%q", got, links)
	}
	for _, name := range submatches(alertNamePattern, text) {
		if !slices.Contains(alerts, name) {
			t.Errorf("%s speaks of %s, which is no alert", runbook, name)
		}
	}
	// An alert says how one knows that it is over, and who is woken.
	for _, section := range strings.Split(alertsPart, "\n### ")[1:] {
		name, _, _ := strings.Cut(section, "\n")
		for _, word := range []string{"Over:", "lipay"} {
			if !strings.Contains(section, word) {
				t.Errorf("%s: nothing says %q", name, word)
			}
		}
		if !strings.Contains(section, "Wake:") && !strings.Contains(section, "Nobody is to be woken") {
			t.Errorf("%s: nothing says who is woken", name)
		}
	}
}

// TestRunbookRecipesExist: a section that sends its reader on to a recipe sends
// him to one that is there.
func TestRunbookRecipesExist(t *testing.T) {
	t.Parallel()
	text := readText(t, runbook)
	recipes := submatches(sectionPattern, part(t, text, "Recipes"))
	found := 0
	for _, named := range submatches(recipeNamePattern, strings.Join(strings.Fields(text), " ")) {
		if !slices.ContainsFunc(recipes, func(r string) bool { return strings.HasPrefix(named, r) }) {
			t.Errorf("%q is none of the recipes %q", named, recipes)
		}
		found++
	}
	if found < 5 {
		t.Errorf("found %d mentions of recipes; the pattern no longer finds them", found)
	}
}

var (
	fencePattern  = regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)^```$")
	inlinePattern = regexp.MustCompile("`([^`\n]+)`")
	// wordPattern takes what is quoted as one word, as a shell does.
	wordPattern = regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"])+`)
	// commentPattern is what a shell does not read; between commands it splits.
	commentPattern = regexp.MustCompile(`(?m)(?:^|\s)#.*$`)
)

// commandLines splits the code of a document into commands, each a list of
// words. What stands inside quotes splits nothing.
func commandLines(text string) [][]string {
	code := submatches(fencePattern, text)
	code = append(code, submatches(inlinePattern, fencePattern.ReplaceAllString(text, ""))...)
	var commands [][]string
	for _, block := range code {
		for line := range strings.Lines(commentPattern.ReplaceAllString(block, "")) {
			var command []string
			for _, word := range append(wordPattern.FindAllString(line, -1), ";") {
				if word = strings.TrimPrefix(word, "bin/"); strings.Trim(word, "|;&") != "" {
					command = append(command, strings.TrimSuffix(word, ";"))
					if !strings.HasSuffix(word, ";") {
						continue
					}
				}
				if len(command) > 0 {
					commands = append(commands, command)
				}
				command = nil
			}
		}
	}
	return commands
}

var ours = []string{"receiver", "replayer", "alipaysim"}

// findCommand finds one of our commands in words, behind assignments and sudo,
// and gives its name with its verbs, and its arguments. A bare name is no command line.
func findCommand(help map[string]string, words []string) (name string, args []string) {
	i := slices.IndexFunc(words, func(w string) bool { return slices.Contains(ours, filepath.Base(w)) })
	if i < 0 || i == len(words)-1 {
		return "", nil
	}
	for _, before := range words[:i] {
		if before != "sudo" && before != "-u" && before != "alipay-notify" && !strings.Contains(before, "=") {
			return "", nil // the word is an argument of another command
		}
	}
	name, args = filepath.Base(words[i]), words[i+1:]
	for len(args) > 0 && strings.Contains(help[name], "Available Commands:") && !strings.HasPrefix(args[0], "-") {
		name, args = name+" "+args[0], args[1:]
	}
	return name, args
}

// TestRunbookCommandsExist checks each command line of ours in the runbook, in
// blocks and in the text, against the commands as they are: its verb, the verb
// of that, and each flag, also behind a pipe and in its short form.
func TestRunbookCommandsExist(t *testing.T) {
	t.Parallel()
	help := helpTexts(t)
	if help["receiver check"] == "" || help["replayer rejects release"] == "" {
		t.Fatal("the verbs were not found in the help texts")
	}
	checked := 0
	for _, words := range commandLines(readText(t, runbook)) {
		name, args := findCommand(help, words)
		if name == "" {
			continue
		}
		checked++
		own, ok := help[name]
		if !ok {
			t.Errorf("%q: there is no %q", words, name)
			continue
		}
		_, flags, _ := strings.Cut(own, "\nFlags:\n")
		for _, arg := range args {
			flag, _, _ := strings.Cut(arg, "=")
			if !strings.HasPrefix(flag, "-") {
				continue
			}
			if !regexp.MustCompile(`(?m)^ +(?:-\w, )?` + regexp.QuoteMeta(flag) + `(?:[ ,]|$)`).MatchString(flags) {
				t.Errorf("%q: %s has no %s", words, name, flag)
			}
		}
	}
	if checked < 30 {
		t.Errorf("found %d command lines; the patterns no longer find them", checked)
	}
}

var (
	metricPattern = regexp.MustCompile(`\balipay_notify_(\w+)`)
	// definedPattern finds the names in metrics.go: the argument of a helper, or
	// the field of an option.
	definedPattern = regexp.MustCompile(`(?:\b(?:counter|gauge|histogram)\(|\bName: )"(\w+)"`)
	// histogramPattern finds those that have more names than their own.
	histogramPattern = regexp.MustCompile(`\bhistogram\("(\w+)"`)
)

// TestRunbookMetricsExist: a number that whoever is on call looks for is one
// that the receiver has, here and in the alerts.
func TestRunbookMetricsExist(t *testing.T) {
	t.Parallel()
	source := readText(t, "internal/server/metrics.go")
	defined := submatches(definedPattern, source)
	for _, name := range submatches(histogramPattern, source) {
		defined = append(defined, name+"_bucket", name+"_count", name+"_sum")
	}
	if len(defined) < 20 {
		t.Fatalf("found %d metrics; the pattern no longer finds them", len(defined))
	}
	for _, path := range []string{runbook, "deploy/alerts.yaml"} {
		named := submatches(metricPattern, readText(t, path))
		if len(named) < 10 {
			t.Errorf("%s names %d metrics; the pattern no longer finds them", path, len(named))
		}
		for _, name := range named {
			if !slices.Contains(defined, name) {
				t.Errorf("%s names alipay_notify_%s, which no receiver has", path, name)
			}
		}
	}
}
