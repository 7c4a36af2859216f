package stream

import "time"

// Overdue is overdue: what has to be sent again at a time, or why nothing more is.
func (r *Resender) Overdue(now time.Time) (first uint64, again int) {
	first, msgs := r.overdue(now)
	for _, m := range msgs {
		if m != nil {
			again++
		}
	}
	return first, again
}

// The times after which a Resender sends again, and gives up.
const (
	ResendAfter    = resendAfter
	ResendPatience = resendPatience
)
