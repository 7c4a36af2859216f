package platform

import "time"

// merchant is what Alipay keeps for one app. Platform.mu guards it.
type merchant struct {
	activities map[string]*activity
	order      []*activity // as created
	vouchers   map[string]*userVoucher
	sent       []*userVoucher // as sent
	cards      map[string]*card
	templates  map[string]object
	bindings   []*binding // as bound
	trades     []Trade
	done       map[string]done // by method and number
}

// done is a write that was done before.
type done struct {
	fingerprint string
	result      object
}

func newMerchant() merchant {
	return merchant{
		activities: map[string]*activity{},
		vouchers:   map[string]*userVoucher{},
		cards:      map[string]*card{},
		templates:  map[string]object{DefaultTemplateID: defaultTemplate()},
		done:       map[string]done{},
	}
}

// day is how ids begin.
func day(at time.Time) string { return at.In(beijing).Format("20060102") }
