package server

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"alipay-notify/internal/events"
)

// NewOps makes the handler of the private listener: /livez says that the
// process runs, /readyz whether it takes notifications and if not why, /metrics
// the numbers. notReady gives the reasons; none means ready.
func NewOps(m *Metrics, notReady func() []string) http.Handler {
	e := newEcho()
	e.GET("/livez", func(c echo.Context) error {
		return c.String(http.StatusOK, "live\n")
	})
	e.GET("/readyz", func(c echo.Context) error {
		if reasons := notReady(); len(reasons) > 0 {
			return c.String(http.StatusServiceUnavailable, "not ready: "+strings.Join(reasons, "; ")+"\n")
		}
		return c.String(http.StatusOK, "ready\n")
	})
	e.GET("/metrics", echo.WrapHandler(promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})))
	return e
}

// kindLabel bounds the label: kinds of the catalogue, and one for the rest.
func kindLabel(kind string) string {
	if _, known := events.KindByName(kind); known {
		return kind
	}
	return "other"
}
