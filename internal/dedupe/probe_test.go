package dedupe_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"alipay-notify/internal/dedupe"
)

func TestProbe(t *testing.T) {
	server := miniredis.RunT(t)
	client := open(t, server.Addr())
	if err := dedupe.Probe(t.Context(), client); err != nil {
		t.Error(err)
	}
	if keys := server.Keys(); len(keys) > 0 {
		t.Errorf("looking stored %q", keys)
	}
	server.SetError("READONLY You can't write against a read only replica.")
	if err := dedupe.Probe(t.Context(), client); dedupe.Refusal(err) != "READONLY" {
		t.Errorf("a replica: %v", err)
	}
	server.Close()
	if err := dedupe.Probe(t.Context(), client); err == nil || dedupe.Refusal(err) != "" {
		t.Errorf("nobody there: %v", err)
	}
}

// TestRefusal: the words are those of real servers.
func TestRefusal(t *testing.T) {
	for text, want := range map[string]string{
		"OOM command not allowed when used memory > 'maxmemory'.":                                                                                      "OOM",
		"READONLY You can't write against a read only replica. script: 1f, on @user_script:3.":                                                         "READONLY", // 7
		"ERR Error running script (call to f_1f): @user_script:3: @user_script: 3: -READONLY You can't write against a read only replica.":             "READONLY", // 6
		"ERR Error running script (call to f_1f): @user_script:3: @user_script: 3: The user executing the script can't run this command or subcommand": "ERR",
	} {
		if got := dedupe.Refusal(fmt.Errorf("wrapped: %w", refusal(text))); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	for _, err := range []error{nil, errors.New("OOM of ours"), errConn} {
		if got := dedupe.Refusal(err); got != "" {
			t.Errorf("%v: %q", err, got)
		}
	}
}
