// Package cli is how our commands speak: exit codes, errors with a hint, and
// the three output formats. It knows nothing of Alipay, streams or stores.
//
// The rules: data goes to stdout, conversation to stderr. An error is one line
// that says what is wrong, and, where something can be done, a second line that
// begins with "Try:". Nothing here exits the process; only main does.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes of every command; DESIGN.md section 9 fixes them.
const (
	ExitDone     = 0 // everything that was asked for is done
	ExitFailed   = 1 // nothing, or not the whole, was done, and trying again may help
	ExitUsage    = 2 // the command line or the configuration is wrong
	ExitDeclined = 3 // a guard or the operator said no
	ExitPartly   = 4 // some of it is done; the output says how far
)

// Error is an error that knows its exit code and what to try next.
type Error struct {
	Code int    // one of the Exit constants
	Err  error  // what is wrong
	Try  string // what to do about it: a command or a sentence; may be empty
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause, so that errors.Is and errors.As see through.
func (e *Error) Unwrap() error { return e.Err }

// Usagef reports a wrong command line or configuration. try is what would be right.
func Usagef(try, format string, args ...any) error {
	return &Error{Code: ExitUsage, Err: fmt.Errorf(format, args...), Try: try}
}

// Failedf reports that the work could not be done. try is what to look at next.
func Failedf(try, format string, args ...any) error {
	return &Error{Code: ExitFailed, Err: fmt.Errorf(format, args...), Try: try}
}

// Declinedf reports that a guard, or the operator, said no.
func Declinedf(try, format string, args ...any) error {
	return &Error{Code: ExitDeclined, Err: fmt.Errorf(format, args...), Try: try}
}

// Partlyf reports that some of the work is done and some is not.
func Partlyf(try, format string, args ...any) error {
	return &Error{Code: ExitPartly, Err: fmt.Errorf(format, args...), Try: try}
}

// Code is the exit code of err: 0 for nil, and 1 where the error names none.
func Code(err error) int {
	if err == nil {
		return ExitDone
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ExitFailed
}

// Main runs the command tree and gives the exit code. An error that cobra
// raises before the command's own code has begun (unknown flag, missing
// argument) is a usage error. The commands find ctx in cmd.Context().
func Main(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	started := false
	// Cobra looks at required flags and flag groups after this hook.
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := errors.Join(cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups()); err != nil {
			return err
		}
		started = true
		return nil
	}
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)

	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitDone
	}
	if e, ok := errors.AsType[*Error](err); !ok && !started {
		err = Usagef(cmd.CommandPath()+" --help", "%w", err)
	} else if ok && e.Code == ExitDone {
		return ExitDone
	}
	Report(stderr, root.Name(), err)
	return Code(err)
}

// Report prints err as the user sees it: the problem, then what to try.
func Report(w io.Writer, program string, err error) {
	fmt.Fprintf(w, "%s: %v\n", program, err)
	if e, ok := errors.AsType[*Error](err); ok && e.Try != "" {
		fmt.Fprintf(w, "Try: %s\n", e.Try)
	}
}

// WithSignals gives a context that SIGINT and SIGTERM cancel. After the first
// signal the handler is taken away, so that a second one ends the process at
// once, which is what somebody who presses Ctrl-C twice wants.
func WithSignals(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
