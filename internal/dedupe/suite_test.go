package dedupe_test

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"alipay-notify/internal/dedupe"
	"alipay-notify/internal/dedupe/dedupetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open gives a client of the server at addr, closed with the test.
func open(t testing.TB, addr string) redis.UniversalClient {
	t.Helper()
	client, err := dedupe.Open("redis://"+addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestConformance(t *testing.T) {
	dedupetest.Run(t, func(t testing.TB) redis.UniversalClient {
		t.Helper()
		return open(t, miniredis.RunT(t).Addr())
	})
}

// TestConformanceAlone runs the calls one by one, as on a cluster.
func TestConformanceAlone(t *testing.T) {
	dedupetest.Run(t, func(t testing.TB) redis.UniversalClient {
		t.Helper()
		return hidden{open(t, miniredis.RunT(t).Addr())}
	})
}

// hidden hides what kind of client it is.
type hidden struct{ redis.UniversalClient }
