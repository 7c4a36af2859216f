package explain_test

import (
	"testing"

	"alipay-notify/internal/explain"
)

// A trade notification that no repair mends: the dearest of the ordinary ones.
func BenchmarkExplainUnrepairable(b *testing.B) {
	w := shared()
	body := w.trade(b).Without("trade_no", "subject").Encode()
	b.ReportAllocs()
	for b.Loop() {
		explain.Explain(w.input(body))
	}
}
