package openapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"alipay-notify/internal/openapi"
)

// list is a merchant's activities, newest first as Alipay may have them, which
// change whenever change says so.
type list struct {
	ids    []int
	change func(page int, ids []int) []int
	reads  int
}

func (l *list) answer(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in openapi.ActivityList
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		l.reads++
		l.ids = l.change(int(in.PageNum), l.ids)
		var out openapi.ActivityPage
		for i := (in.PageNum - 1) * in.PageSize; i < in.PageNum*in.PageSize && i < int64(len(l.ids)); i++ {
			out.ActivityLiteInfos = append(out.ActivityLiteInfos, openapi.ActivityLiteInfo{ActivityID: fmt.Sprint(l.ids[i])})
		}
		out.TotalSize = json.Number(fmt.Sprint(len(l.ids)))
		text, err := json.Marshal(out)
		if err != nil {
			t.Error(err)
		}
		answerV3(t, w, http.StatusOK, string(text))
	}
}

func numbers(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = n - i
	}
	return out
}

// TestPagesThatShift: pages are counted from the front, so what is added comes
// twice and what is removed hides its neighbour. Every item that stays is given
// exactly once, and where that cannot be promised, the reader is told.
func TestPagesThatShift(t *testing.T) {
	t.Parallel()
	same := func(_ int, ids []int) []int { return ids }
	once := func(at int, f func([]int) []int) func(int, []int) []int {
		done := false
		return func(page int, ids []int) []int {
			if page != at || done {
				return ids
			}
			done = true
			return f(ids)
		}
	}
	for _, tt := range []struct {
		name   string
		n      int
		change func(int, []int) []int
		reads  int
		shifts bool
		most   int
	}{
		{"steady", 95, same, 10, false, 95},
		{"whole pages", 40, same, 4, false, 40},
		{"nothing", 0, same, 1, false, 0},
		{"added in front", 95, once(3, func(ids []int) []int { return append([]int{1000}, ids...) }), 15, false, 96},
		{"removed in front", 95, once(3, func(ids []int) []int { return ids[1:] }), 15, false, 95},
		{"one added, one removed", 95, once(3, func(ids []int) []int { return append([]int{1000}, ids[:94]...) }), 15, false, 96},
		{"one removed in front, one added behind", 95, once(3, func(ids []int) []int { return append(ids[1:len(ids):len(ids)], 1001) }), 15, false, 96},
		{"always", 95, func(_ int, ids []int) []int { return append([]int{len(ids) + 1000}, ids...) }, 20, true, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := &list{ids: numbers(tt.n), change: tt.change}
			c := against(t, l.answer(t))
			seen := make(map[string]int)
			shifted := false
			for item, err := range c.Activities(t.Context(), openapi.ActivityList{MerchantAccessMode: openapi.SelfMode}) {
				if err != nil {
					if shifted = errors.Is(err, openapi.ErrShifted); !shifted {
						t.Fatal(err)
					}
					continue
				}
				seen[item.ID()]++
			}
			if shifted != tt.shifts || l.reads != tt.reads && !shifted {
				t.Errorf("shifted %v after %d pages, want %v after %d", shifted, l.reads, tt.shifts, tt.reads)
			}
			for _, id := range l.ids {
				if n := seen[fmt.Sprint(id)]; n != 1 && !shifted {
					t.Errorf("%d was given %d times", id, n)
				}
			}
			for id, n := range seen {
				if n != 1 {
					t.Errorf("%s was given %d times", id, n)
				}
			}
			if len(seen) > tt.most {
				t.Errorf("%d items, want at most %d", len(seen), tt.most)
			}
		})
	}
}

// An error ends the pages, and so does a reader who has enough.
func TestPagesEnd(t *testing.T) {
	t.Parallel()
	n := 0
	c := against(t, func(w http.ResponseWriter, r *http.Request) {
		if n++; r.URL.Query().Get("page_num") == "2" {
			answerV3(t, w, http.StatusBadRequest, `{"code":"INVALID_PARAMETER"}`)
			return
		}
		answerV3(t, w, http.StatusOK, `{"user_voucher_infos":[{"voucher_id":"a"},{"user_voucher_base_info":{"voucher_id":"b"}},{}],"total_size":50}`)
	})
	in := openapi.UserVoucherList{MerchantAccessMode: openapi.SelfMode, BelongMerchantID: "m"}
	var got []string
	for v, err := range c.UserVouchers(t.Context(), in) {
		if err != nil {
			fails(t, err, openapi.Refused)
			got = append(got, "error")
			continue
		}
		got = append(got, v.ID())
	}
	if strings.Join(got, " ") != "a b error" || n != 2 {
		t.Errorf("%q after %d pages", got, n)
	}
	for range c.UserVouchers(t.Context(), in) {
		break
	}
	if n != 3 {
		t.Errorf("%d pages were read for one voucher", n)
	}
}
