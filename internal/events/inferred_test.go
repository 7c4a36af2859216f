package events_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alipay-notify/internal/events"
)

var concluded = events.Inferred{
	AppID: "2021000000000001", Kind: "voucher.stopped", Key: "2026080100826004508401111111", State: "FINISHED",
	At: time.Date(2026, 8, 2, 9, 30, 0, 0, time.FixedZone("", 8*3600)), Data: []byte(`{"activity_id":"2026080100826004508401111111"}`),
}

// The headers are those of DESIGN.md section 3 and of the AsyncAPI document.
func TestInferredHeader(t *testing.T) {
	t.Parallel()
	got, err := concluded.Header()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"ce-specversion": "1.0", "ce-id": "voucher.stopped:2026080100826004508401111111:FINISHED",
		"ce-source": "/alipay/2021000000000001/inferred", "ce-type": "alipay.marketing.activity.message.stopped",
		"ce-subject": "2026080100826004508401111111", "ce-time": "2026-08-02T01:30:00Z",
		"ce-datacontenttype": "application/json", "ce-dataschema": "urn:alipay-notify:schema:voucher.stopped:v1",
		"Nats-Msg-Id": "inferred:voucher.stopped:2026080100826004508401111111:FINISHED",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if s := concluded.Subject(); s != "alipay.inferred.2021000000000001.voucher.stopped.2026080100826004508401111111" {
		t.Errorf("subject %s", s)
	}
}

// What is read back is what was concluded, and nobody can take it for Alipay's word.
func TestInferredIsReadBack(t *testing.T) {
	t.Parallel()
	h, err := concluded.Header()
	if err != nil {
		t.Fatal(err)
	}
	e, err := events.ParseHeader(func(name string) string { return h[name] }, concluded.Subject(), concluded.Data)
	if err != nil {
		t.Fatal(err)
	}
	if e.AppID != concluded.AppID || e.Kind != concluded.Kind || e.Key != concluded.Key || e.ID != concluded.ID() ||
		!e.Time.Equal(concluded.At) || e.Proof != "" || len(e.Raw) > 0 {
		t.Errorf("read back: %+v", e)
	}
}

// A key is whatever Alipay or a file says: it cannot end a header, or widen a subject.
func TestInferredOfAnyKey(t *testing.T) {
	t.Parallel()
	i := concluded
	i.Key, i.State = "a b\r\nce-id: x.*.>%", "名"
	h, err := i.Header()
	if err != nil {
		t.Fatal(err)
	}
	plain := regexp.MustCompile(`^[!-~]+$`)
	for name, value := range h {
		if !plain.MatchString(value) {
			t.Errorf("%s: %q", name, value)
		}
	}
	if tokens := strings.Split(i.Subject(), "."); len(tokens) != 6 || strings.ContainsAny(i.Subject(), "*> \r\n") {
		t.Errorf("subject %q", i.Subject())
	}
}

// Only what has a kind can be concluded; every kind can.
func TestInferredKinds(t *testing.T) {
	t.Parallel()
	for _, k := range events.Kinds() {
		i := concluded
		i.Kind = k.Name
		if h, err := i.Header(); err != nil || h[events.HeaderType] != k.Method {
			t.Errorf("%s: %v %v", k.Name, slices.Collect(maps.Values(h)), err)
		}
	}
	i := concluded
	i.Kind = "other.alipay_x"
	if _, err := i.Header(); err == nil {
		t.Error("something without a kind was concluded")
	}
}
