package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"alipay-notify/internal/cli"
)

func TestCode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"no error", nil, 0},
		{"no code", errors.New("x"), 1},
		{"failed", cli.Failedf("", "x"), 1},
		{"usage", cli.Usagef("", "x"), 2},
		{"declined", cli.Declinedf("", "x"), 3},
		{"partly", cli.Partlyf("", "x"), 4},
		{"wrapped", fmt.Errorf("outer: %w", cli.Declinedf("", "x")), 3},
		{"nested: the outer one", cli.Partlyf("", "outer: %w", cli.Usagef("", "x")), 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := cli.Code(tt.err); got != tt.want {
				t.Errorf("Code = %d, want %d", got, tt.want)
			}
		})
	}
}

// tree is a small command tree; run is what its only verb does.
func tree(run func(cmd *cobra.Command, args []string) error) *cobra.Command {
	root := &cobra.Command{Use: "tool"}
	verb := &cobra.Command{Use: "verb NAME", Args: cobra.ExactArgs(1), RunE: run}
	verb.Flags().Int("limit", 0, "how many")
	root.AddCommand(verb)
	return root
}

func TestMainExits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		args   []string
		run    error
		code   int
		stderr string
	}{
		{"done", []string{"verb", "x"}, nil, 0, ""},
		{"unknown flag", []string{"verb", "x", "--nope"}, nil, 2, "tool: unknown flag: --nope\nTry: tool verb --help\n"},
		{"flag of the wrong type", []string{"verb", "x", "--limit", "y"}, nil, 2,
			"tool: invalid argument \"y\" for \"--limit\" flag: strconv.ParseInt: parsing \"y\": invalid syntax\nTry: tool verb --help\n"},
		{"missing argument", []string{"verb"}, nil, 2, "tool: accepts 1 arg(s), received 0\nTry: tool verb --help\n"},
		{"unknown verb", []string{"nope"}, nil, 2, "tool: unknown command \"nope\" for \"tool\"\nTry: tool --help\n"},
		{"a plain error of the command is no usage error", []string{"verb", "x"}, errors.New("no route"), 1, "tool: no route\n"},
		{"usage error of the command", []string{"verb", "x"}, cli.Usagef("tool verb NAME", "bad name"), 2, "tool: bad name\nTry: tool verb NAME\n"},
		{"failed", []string{"verb", "x"}, cli.Failedf("tool doctor", "no route"), 1, "tool: no route\nTry: tool doctor\n"},
		{"declined", []string{"verb", "x"}, cli.Declinedf("", "too many"), 3, "tool: too many\n"},
		{"partly, wrapped", []string{"verb", "x"}, fmt.Errorf("replay: %w", cli.Partlyf("tool jobs", "3 of 9")), 4, "tool: replay: 3 of 9\nTry: tool jobs\n"},
		{"an error that says done", []string{"verb", "x"}, &cli.Error{Code: cli.ExitDone, Err: errors.New("nothing to do")}, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			root := tree(func(*cobra.Command, []string) error { return tt.run })
			code := cli.Main(t.Context(), root, tt.args, &stdout, &stderr)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if diff := cmp.Diff(tt.stderr, stderr.String()); diff != "" {
				t.Errorf("stderr (-want +got):\n%s", diff)
			}
			if stdout.Len() > 0 {
				t.Errorf("conversation on stdout: %q", stdout.String())
			}
		})
	}
}

func TestMainGivesContextAndStreams(t *testing.T) {
	t.Parallel()
	type key struct{}
	var stdout, stderr bytes.Buffer
	root := tree(func(cmd *cobra.Command, args []string) error {
		fmt.Fprintf(cmd.OutOrStdout(), "%v %s\n", cmd.Context().Value(key{}), args[0])
		fmt.Fprintln(cmd.ErrOrStderr(), "working")
		return nil
	})
	ctx := context.WithValue(t.Context(), key{}, "value")
	if code := cli.Main(ctx, root, []string{"verb", "x"}, &stdout, &stderr); code != cli.ExitDone {
		t.Errorf("exit code %d", code)
	}
	if stdout.String() != "value x\n" || stderr.String() != "working\n" {
		t.Errorf("stdout %q, stderr %q", stdout.String(), stderr.String())
	}
}

func TestErrorSeesThrough(t *testing.T) {
	t.Parallel()
	err := cli.Failedf("look", "open: %w", os.ErrNotExist)
	if !errors.Is(err, os.ErrNotExist) || err.Error() != "open: "+os.ErrNotExist.Error() {
		t.Errorf("error %v", err)
	}
}

// Cobra validates required flags and flag groups after the persistent pre-run,
// by which Main told that the command's own code had begun: a missing required
// flag was "failed", exit code 1, so that a script would try it again.
func TestMainFlagRulesAreUsage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		code int
	}{
		{"required flag missing", []string{"verb"}, 2},
		{"required flag there", []string{"verb", "--since", "1h"}, 0},
		{"flags that exclude each other", []string{"verb", "--since", "1h", "--seq", "1"}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			verb := &cobra.Command{Use: "verb", RunE: func(*cobra.Command, []string) error { return nil }}
			verb.Flags().String("since", "", "")
			verb.Flags().String("seq", "", "")
			verb.MarkFlagRequired("since") //nolint:errcheck // the flag is there
			verb.MarkFlagsMutuallyExclusive("since", "seq")
			root := &cobra.Command{Use: "tool"}
			root.AddCommand(verb)
			var stderr bytes.Buffer
			if code := cli.Main(t.Context(), root, tt.args, &bytes.Buffer{}, &stderr); code != tt.code {
				t.Errorf("exit code %d, want %d; stderr %q", code, tt.code, stderr.String())
			}
		})
	}
}

// TestWithSignals sends a signal to the test's own process, so it is not parallel.
func TestWithSignals(t *testing.T) {
	ctx, stop := cli.WithSignals(t.Context())
	defer stop()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()

	ctx, stop = cli.WithSignals(t.Context())
	stop()
	if ctx.Err() == nil {
		t.Error("the context lives after stop")
	}
}
