package platform

import (
	"encoding/json"
	"net"
	"net/http"
	"time"
)

// admin is /_sim/: what tests in another process can say and ask. It answers
// callers on this machine alone, wherever the platform listens.
//
//	GET    /_sim/journal[?what=caused]  the journal, one object a line
//	GET    /_sim/faults                 what goes wrong on purpose
//	POST   /_sim/faults                 a Fault more: {"kind":"slow","probability":1,"count":3,"by":"5s"}
//	DELETE /_sim/faults                 none any more
//	POST   /_sim/activities             {"count":10,"activity_status":"ACTIVE"}, or {"activity_id":...,"activity_status":"PAUSE"}
//	POST   /_sim/vouchers               {"voucher_id":...,"voucher_status":"USED"}
//	POST   /_sim/templates              {"template_id":...}
//	POST   /_sim/trades                 {"out_trade_no":...,"trade_status":"TRADE_SUCCESS","total_amount":"1.00"}
//
// The last four take an app_id, which may be left out where there is one app.
func (p *Platform) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_sim/journal", p.showJournal)
	mux.HandleFunc("GET /_sim/faults", func(w http.ResponseWriter, _ *http.Request) {
		faults := []faultText{}
		p.mu.Lock()
		for _, f := range p.faults {
			faults = append(faults, faultText{*f, f.By.String()})
		}
		p.mu.Unlock()
		reply(w, faults, nil)
	})
	mux.HandleFunc("DELETE /_sim/faults", func(w http.ResponseWriter, _ *http.Request) {
		p.ClearFaults()
		reply(w, object{}, nil)
	})
	mux.HandleFunc("POST /_sim/faults", take(func(f faultText) (any, error) {
		if f.Text != "" {
			var err error
			if f.By, err = time.ParseDuration(f.Text); err != nil {
				return nil, err
			}
		}
		return object{}, p.AddFault(f.Fault)
	}))
	p.adminWorld(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			http.Error(w, "for callers on this machine only", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// adminWorld is about what no call can bring about.
func (p *Platform) adminWorld(mux *http.ServeMux) {
	mux.HandleFunc("POST /_sim/trades", take(func(v struct {
		Trade
		App string `json:"app_id"`
	}) (any, error) {
		return object{}, p.AddTrade(v.App, v.Trade)
	}))
	mux.HandleFunc("POST /_sim/templates", take(func(v struct {
		ID  string `json:"template_id"`
		App string `json:"app_id"`
	}) (any, error) {
		return object{}, p.AddTemplate(v.App, v.ID)
	}))
	mux.HandleFunc("POST /_sim/vouchers", take(func(v struct {
		ID     string `json:"voucher_id"`
		Status string `json:"voucher_status"`
		App    string `json:"app_id"`
	}) (any, error) {
		return object{}, p.SetVoucher(v.App, v.ID, v.Status)
	}))
	mux.HandleFunc("POST /_sim/activities", take(func(v struct {
		ID     string `json:"activity_id"`
		Count  int    `json:"count"`
		Status string `json:"activity_status"`
		App    string `json:"app_id"`
	}) (any, error) {
		if v.ID != "" {
			return object{}, p.SetActivity(v.App, v.ID, v.Status)
		}
		ids, err := p.AddActivities(v.App, v.Count, v.Status)
		return object{"activity_ids": ids}, err
	}))
}

// faultText is a Fault with its duration as people write one.
type faultText struct {
	Fault
	Text string `json:"by,omitempty"`
}

// take reads one JSON value and answers what becomes of it.
func take[V any](do func(V) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var v V
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		d.DisallowUnknownFields()
		if err := d.Decode(&v); err != nil {
			reply(w, nil, err)
			return
		}
		out, err := do(v)
		reply(w, out, err)
	}
}

func reply(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the caller may have gone
}

func (p *Platform) showJournal(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	e := json.NewEncoder(w)
	for _, entry := range p.Journal() {
		if what := r.URL.Query().Get("what"); what == "" || what == entry.What {
			_ = e.Encode(entry) // the caller may have gone
		}
	}
}
