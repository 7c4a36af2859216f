//go:build e2e

package e2e

import (
	"net/http"
	"slices"
	"testing"

	"alipay-notify/internal/alipaytest"
)

// TestReplayerSees looks at what the receiver stored with the operators' tool,
// through the same configuration file: at the embedded server of the running
// receiver with its token, and at external servers.
func TestReplayerSees(t *testing.T) {
	t.Parallel()
	app := alipaytest.NewApp(t, "")
	withServers, _, _ := external(t, app)
	for name, config := range map[string]*config{"embedded": newConfig(t, app), "external": withServers} {
		t.Run(name, func(t *testing.T) {
			r := ready(t, config)
			file := config.save(t)
			var sent []string
			for _, typ := range []string{"voucher.created", "card.open_result", "trade.status_changed"} {
				n := app.Notification(t, typ, alipaytest.Options{})
				r.send(t, n).want(t, http.StatusOK, "success")
				sent = append(sent, n.ID())
			}
			listed := run(t, tools.replayer, "events", "-o", "json", "--config", file)
			listed.want(t, 0)
			var seen []string
			for _, row := range rows(t, listed.stdout) {
				seen = append(seen, row["id"].(string))
			}
			if !slices.Equal(seen, sent) {
				t.Errorf("replayer events lists %v, want %v", seen, sent)
			}
			run(t, tools.replayer, "show", sent[1], "--config", file).want(t, 0)
			run(t, tools.replayer, "show", "nobody-sent-this", "--config", file).want(t, 1)

			if name == "embedded" {
				r.kill()
				run(t, tools.replayer, "events", "--config", file).want(t, 1, "Try: start the receiver first")
			}
		})
	}
}
