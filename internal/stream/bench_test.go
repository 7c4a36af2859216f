package stream_test

import (
	"bytes"
	"sync/atomic"
	"testing"

	"alipay-notify/internal/events"
	"alipay-notify/internal/stream"
)

// What one embedded server stores, synced to the disk before each ack.
func BenchmarkPublish(b *testing.B) {
	e := startEmbedded(b, b.TempDir())
	p := provisioned(b, e).NewPublisher()
	publish(b, p, event(0))
	var n atomic.Int64
	b.SetParallelism(32) // times the cores: 64 on two
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := p.Publish(b.Context(), event(int(n.Add(1)))); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkRead(b *testing.B) {
	f := newFixture(b)
	const stored = 20_000
	fill(b, f.js, "alipay.events.1.%d", stored, bytes.Repeat([]byte("x"), 1000))
	b.ResetTimer()
	for range b.N {
		n := 0
		if err := f.client.Read(b.Context(), stream.ReadOptions{Stream: stream.Events}, func(events.Stored) error {
			n++
			return nil
		}); err != nil || n != stored {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.N*stored)/b.Elapsed().Seconds(), "messages/s")
}
