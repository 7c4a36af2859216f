package openapi

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// ErrShifted says that a list changed under the reader until the end: everything
// that was given is true, and something may be missing.
var ErrShifted = errors.New("the list changed while it was read")

const (
	maxPasses   = 4
	maxPages    = 100_000
	defaultPage = 20
)

// Activities reads all pages of alipay.marketing.activity.batchquery, each
// activity once. The parameters' PageNum is not used; a PageSize of 0 means 20.
func (c *Client) Activities(ctx context.Context, in ActivityList, opts ...Option) iter.Seq2[ActivityLiteInfo, error] {
	if in.PageSize == 0 {
		in.PageSize = defaultPage
	}
	return pages(in.PageSize, ActivityLiteInfo.ID, func(page int64) ([]ActivityLiteInfo, int64, error) {
		in.PageNum = page
		r, err := c.ActivityBatchQuery(ctx, in, opts...)
		total, wrong := r.Value.TotalSize.Int64()
		if wrong != nil {
			total = 0 // then the pages alone say where the list ends
		}
		return r.Value.ActivityLiteInfos, total, err
	})
}

// UserVouchers reads all pages of alipay.marketing.activity.user.batchqueryvoucher,
// each voucher once. PageNum and PageSize are as those of Activities.
func (c *Client) UserVouchers(ctx context.Context, in UserVoucherList, opts ...Option) iter.Seq2[UserVoucherInfo, error] {
	if in.PageSize == 0 {
		in.PageSize = defaultPage
	}
	return pages(in.PageSize, UserVoucherInfo.ID, func(page int64) ([]UserVoucherInfo, int64, error) {
		in.PageNum = page
		r, err := c.UserVoucherBatchQuery(ctx, in, opts...)
		return r.Value.UserVoucherInfos, r.Value.TotalSize, err
	})
}

// pages reads a list that may change meanwhile. Alipay's pages are counted from
// the start, with no mark to go on from: what is added in front pushes items onto
// the next page, where they come again, and what is removed pulls items onto a
// page that was read already, where they are missed. So a list of several pages
// is read until one whole pass saw no change and nothing new, twice at least and
// four times at most; each item is given once. A list on one page cannot shift.
// It keeps the ids that it has given, and nothing else.
func pages[T any](size int64, id func(T) string, fetch func(page int64) ([]T, int64, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		r := reader[T]{size: size, id: id, fetch: fetch, given: make(map[string]int)}
		for r.pass = 1; r.pass <= maxPasses; r.pass++ {
			steady, goOn, err := r.read(yield)
			if err != nil {
				yield(none, err)
				return
			}
			if steady || !goOn {
				return
			}
		}
		yield(none, fmt.Errorf("%w %d times: %d items were seen, some may be missing; read it again when less happens", ErrShifted, maxPasses, len(r.given)))
	}
}

// reader reads one list.
type reader[T any] struct {
	size  int64
	id    func(T) string
	fetch func(page int64) ([]T, int64, error)
	given map[string]int // id: the last pass that saw it
	pass  int
}

// read is one pass. steady means that nothing can have been missed.
func (r *reader[T]) read(yield func(T, error) bool) (steady, goOn bool, err error) {
	first, seen, fresh := int64(-1), int64(0), false
	steady = true
	for page := int64(1); page <= maxPages; page++ {
		items, total, err := r.fetch(page)
		if err != nil {
			return false, false, err
		}
		if first < 0 {
			first = total
		}
		steady = steady && total == first
		for _, item := range items {
			id := r.id(item)
			last, known := r.given[id]
			if known && last == r.pass {
				steady = false
				continue
			}
			seen++
			if id == "" {
				continue // nobody could ask further about it
			}
			r.given[id] = r.pass
			if !known {
				fresh = true
				if !yield(item, nil) {
					return false, false, nil
				}
			}
		}
		if len(items) == 0 || total > 0 && page*r.size >= total || total <= 0 && int64(len(items)) < r.size {
			return seen >= total && (page == 1 || steady && !fresh), true, nil
		}
	}
	return false, true, nil
}
