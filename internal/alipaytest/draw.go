package alipaytest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// beijing is the zone of every written-out time of Alipay's (PROTOCOL.md 1.2).
var beijing = time.FixedZone("CST", 8*60*60)

// beijingTime is the form of notify_time, gmt_create and their like.
func beijingTime(t time.Time) string { return t.In(beijing).Format(time.DateTime) }

// epochMillis is the form of utc_timestamp and event_time: 13 digits.
func epochMillis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// draw makes up the values of one notification. All chance comes from rand and
// all time from at, so a seeded source and a fixed time give the same values.
type draw struct {
	rand  *rand.Rand
	at    time.Time
	appID string
}

func (d *draw) from(alphabet string, n int) string {
	var out strings.Builder
	for range n {
		out.WriteByte(alphabet[d.rand.IntN(len(alphabet))])
	}
	return out.String()
}

func (d *draw) digits(n int) string { return d.from("0123456789", n) }
func (d *draw) hex(n int) string    { return d.from("0123456789abcdef", n) }
func (d *draw) upper(n int) string  { return d.from("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", n) }
func (d *draw) date() string        { return d.at.In(beijing).Format("20060102") }
func (d *draw) millis() string      { return epochMillis(d.at) }

// clock is a written-out time before the event.
func (d *draw) clock(before time.Duration) string { return beijingTime(d.at.Add(-before)) }

// notifyID has one of the two shapes seen, both of 34 characters: digits
// beginning with date and time, or hex with three letters behind
// (PROTOCOL.md 1.2). The second is the older and here the rarer.
func (d *draw) notifyID() string {
	if d.rand.IntN(4) == 0 {
		return d.hex(31) + d.from("abcdefghijklmnopqrstuvwxyz", 3)
	}
	return d.date() + "00222" + d.at.In(beijing).Format("150405") + d.digits(15)
}

// Ids as the samples of PROTOCOL.md 2.1-2.6 show them.
func (d *draw) activityID() string { return d.date() + "00826" + d.digits(15) }
func (d *draw) voucherID() string  { return d.date() + "00073" + d.digits(9) + d.upper(6) }
func (d *draw) userID() string     { return "2088" + d.digits(12) }
func (d *draw) tradeNo() string    { return d.date() + "22001" + d.digits(15) }
func (d *draw) outNo(prefix string) string {
	return prefix + d.date() + d.digits(10)
}

// amount is a price in yuan with two places, never zero.
func (d *draw) amount() string {
	return fmt.Sprintf("%d.%02d", 1+d.rand.IntN(500), d.rand.IntN(100))
}

func (d *draw) one(of ...string) string { return of[d.rand.IntN(len(of))] }
