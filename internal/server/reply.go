package server

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"

	"alipay-notify/internal/fault"
	"alipay-notify/internal/ingest"
)

// reply is what one outcome says to Alipay, and how loud it is in the log.
type reply struct {
	status int
	body   string
	level  zerolog.Level
}

// The two words of the protocol. Alipay stops its retries at success and at
// nothing else (PROTOCOL.md 1.3).
const (
	success = "success"
	failure = "fail"
)

// replies is the table of DESIGN.md section 2. A test walks all outcomes.
var replies = map[ingest.Outcome]reply{
	ingest.Accepted:                   {http.StatusOK, success, zerolog.InfoLevel},
	ingest.Duplicate:                  {http.StatusOK, success, zerolog.InfoLevel},
	ingest.Checked:                    {http.StatusOK, success, zerolog.InfoLevel},
	ingest.Outcome(fault.Malformed):   {http.StatusBadRequest, failure, zerolog.WarnLevel},
	ingest.Outcome(fault.TooLarge):    {http.StatusRequestEntityTooLarge, failure, zerolog.ErrorLevel},
	ingest.Outcome(fault.Refused):     {http.StatusUnauthorized, failure, zerolog.WarnLevel},
	ingest.Outcome(fault.InFlight):    {http.StatusServiceUnavailable, failure, zerolog.InfoLevel},
	ingest.Outcome(fault.Overloaded):  {http.StatusServiceUnavailable, failure, zerolog.WarnLevel},
	ingest.Outcome(fault.Unavailable): {http.StatusServiceUnavailable, failure, zerolog.ErrorLevel},
	ingest.Outcome(fault.Uncertain):   {http.StatusServiceUnavailable, failure, zerolog.ErrorLevel},
	ingest.Outcome(fault.Internal):    {http.StatusInternalServerError, failure, zerolog.ErrorLevel},
}

// replyTo looks an outcome up. One that is not in the table is a bug, and a bug
// is never acknowledged.
func replyTo(o ingest.Outcome, method string) reply {
	r, ok := replies[o]
	if !ok {
		return replies[ingest.Outcome(fault.Internal)]
	}
	if method != http.MethodPost {
		r.status = http.StatusMethodNotAllowed
	}
	return r
}

var plainText = []string{"text/plain; charset=utf-8"} // never changed

func writeText(c echo.Context, status int, body string) {
	if status == http.StatusMethodNotAllowed {
		c.Response().Header().Set("Allow", http.MethodPost)
	}
	c.Response().Header()["Content-Type"] = plainText
	c.Response().WriteHeader(status)
	c.Response().Write([]byte(body)) //nolint:errcheck,gosec // the sender has gone; it will come again
}
