package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"alipay-notify/internal/cli"
	"alipay-notify/internal/reconcile"
)

// fileHelp is the part of the help text about --file.
const fileHelp = `A file is CSV with a head, or NDJSON, with one item or one request a row:
activity_id or biz_card_no; app_id, where several apps are configured; type
(voucher.created, modified, appended, stopped, card.open_result), out_biz_no and
requested_at of a request; and what was asked for: requested (a JSON object under
Alipay's names), or voucher_quantity, publish_end_time, activity_name by
themselves. Rows about one activity belong together.`

// fileRow is one row of a file.
type fileRow struct {
	App         string          `json:"app_id"`
	ActivityID  string          `json:"activity_id"`
	BizCardNo   string          `json:"biz_card_no"`
	Type        string          `json:"type"`
	OutBizNo    string          `json:"out_biz_no"`
	RequestedAt string          `json:"requested_at"`
	Requested   json.RawMessage `json:"requested"`

	// What is asked for most, without an object around it.
	Quantity json.Number `json:"voucher_quantity"`
	EndTime  string      `json:"publish_end_time"`
	Name     string      `json:"activity_name"`

	end int64 // where the row ends in the file
}

// columns are the heads of a CSV file.
var columns = []string{
	"app_id", "activity_id", "biz_card_no", "type", "out_biz_no", "requested_at", "requested", "voucher_quantity", "publish_end_time", "activity_name",
}

// fileSource reads --file.
func (r *reconciling) fileSource() (itemSource, error) {
	source := itemSource{name: "file " + r.file}
	in := r.cmd.InOrStdin()
	var file *os.File
	if r.file != "-" {
		var err error
		if file, err = os.Open(r.file); err != nil {
			return source, cli.Usagef(help(r.cmd), "--file: %w", err)
		}
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			source.total = info.Size()
		}
		in = file
	}
	source.items = func(context.Context) iter.Seq2[reconcile.Item, error] {
		return func(yield func(reconcile.Item, error) bool) {
			if file != nil {
				defer file.Close() //nolint:errcheck // it is only read
			}
			r.fileItems(in, yield)
		}
	}
	return source, nil
}

// fileItems gives the items of a file: rows about the same one, which follow each
// other, are one.
func (r *reconciling) fileItems(in io.Reader, yield func(reconcile.Item, error) bool) {
	var item reconcile.Item
	for row, err := range fileRows(in) {
		if err == nil {
			err = row.check(r.app)
		}
		if err != nil {
			if item.Key == "" || yield(item, nil) {
				yield(reconcile.Item{}, cli.Usagef(help(r.cmd), "--file: %w", err))
			}
			return
		}
		next := row.item(r.app)
		if next.App == item.App && next.Entity == item.Entity && next.Key == item.Key {
			item.Requests, item.Cursor = append(item.Requests, next.Requests...), next.Cursor
			continue
		}
		if item.Key != "" && !yield(item, nil) {
			return
		}
		item = next
	}
	if item.Key != "" {
		yield(item, nil)
	}
}

// maxRow bounds one row of a file, in bytes.
const maxRow = 1 << 20

// fileRows reads CSV or NDJSON, whichever it is.
func fileRows(in io.Reader) iter.Seq2[fileRow, error] {
	b := bufio.NewReaderSize(in, 64<<10)
	bom := 0
	if head, err := b.Peek(3); err == nil && bytes.Equal(head, []byte("\ufeff")) {
		bom, _ = b.Discard(3)
	}
	head, _ := b.Peek(1024) // the error comes again with the first row
	if strings.HasPrefix(strings.TrimSpace(string(head)), "{") {
		return ndjsonRows(b, int64(bom))
	}
	return csvRows(b, int64(bom))
}

func ndjsonRows(in io.Reader, at int64) iter.Seq2[fileRow, error] {
	return func(yield func(fileRow, error) bool) {
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, maxRow)
		for n := 1; lines.Scan(); n++ {
			at += int64(len(lines.Bytes())) + 1
			if len(bytes.TrimSpace(lines.Bytes())) == 0 {
				continue
			}
			row := fileRow{end: at}
			dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
			dec.DisallowUnknownFields() // a misspelt name would be a request that nobody knows
			err := dec.Decode(&row)
			if err != nil {
				err = fmt.Errorf("line %d: %w", n, err)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(fileRow{}, err)
		}
	}
}

func csvRows(in io.Reader, start int64) iter.Seq2[fileRow, error] {
	return func(yield func(fileRow, error) bool) {
		rows := csv.NewReader(in)
		rows.ReuseRecord = true
		head, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		head = slices.Clone(head)
		if err == nil {
			err = checkHead(head)
		}
		if err != nil {
			yield(fileRow{}, err)
			return
		}
		for {
			cells, err := rows.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			var row fileRow
			if err == nil {
				if row, err = csvRow(head, cells); err != nil {
					line, _ := rows.FieldPos(0)
					err = fmt.Errorf("line %d: %w", line, err)
				}
			}
			row.end = start + rows.InputOffset()
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

func checkHead(head []string) error {
	for i := range head {
		head[i] = strings.ToLower(strings.TrimSpace(head[i]))
		if !slices.Contains(columns, head[i]) {
			return fmt.Errorf("the first line has a column %s: want some of %s", quoted(head[i]), strings.Join(columns, ", "))
		}
	}
	return nil
}

// quoted is a cell in an error: a file of another kind is one cell of megabytes.
func quoted(cell string) string {
	const most = 40
	if len(cell) > most {
		return strconv.Quote(cell[:most]) + "..."
	}
	return strconv.Quote(cell)
}

func csvRow(head, cells []string) (fileRow, error) {
	members := make(map[string]any)
	for i, name := range head {
		switch value := strings.TrimSpace(cells[i]); {
		case value == "":
		case name == "requested":
			if !json.Valid([]byte(value)) {
				return fileRow{}, errors.New("requested is not JSON")
			}
			members[name] = json.RawMessage(value)
		default:
			members[name] = value
		}
	}
	var row fileRow
	if err := json.Unmarshal(asJSON(members), &row); err != nil {
		return row, fmt.Errorf("a cell cannot be read: %w", err)
	}
	return row, nil
}

func (f fileRow) check(app string) error {
	name := cmp.Or(f.ActivityID, f.BizCardNo)
	entity, _, _ := strings.Cut(f.Type, ".")
	switch {
	case (f.ActivityID == "") == (f.BizCardNo == ""):
		return errors.New("a row has neither or both of activity_id and biz_card_no")
	case cmp.Or(f.App, app) == "":
		return fmt.Errorf("%s: several apps are configured, and the row has no app_id", quoted(name))
	case f.Type != "" && !slices.Contains(reconcile.Kinds(entity), f.Type), f.Type != "" && (f.BizCardNo != "") != (entity == reconcile.Card):
		return fmt.Errorf("%s: no type of it is called %s", quoted(name), quoted(f.Type))
	case len(f.Requested) > 0 && bytes.TrimSpace(f.Requested)[0] != '{' && string(f.Requested) != "null":
		return fmt.Errorf("%s: requested is not an object", quoted(name))
	case f.RequestedAt != "" && f.at().IsZero():
		return fmt.Errorf("%s: requested_at is not RFC 3339, nor yyyy-MM-dd HH:mm:ss in Beijing", quoted(name))
	}
	return nil
}

func (f fileRow) at() time.Time {
	if t, err := time.Parse(time.RFC3339, f.RequestedAt); err == nil {
		return t
	}
	return clock(f.RequestedAt)
}

// item is what the row is about, with its request if it tells of one.
func (f fileRow) item(app string) reconcile.Item {
	item := reconcile.Item{
		App: cmp.Or(f.App, app), Entity: reconcile.Voucher, Key: cmp.Or(f.ActivityID, f.BizCardNo), Cursor: uint64(f.end), //nolint:gosec // an offset
	}
	if f.BizCardNo != "" {
		item.Entity = reconcile.Card
	}
	values := f.values()
	kind := f.Type
	switch {
	case kind != "":
	case f.Quantity != "" || bytes.Contains(values, []byte(`"voucher_quantity"`)):
		kind = reconcile.Appended
	case len(values) > 0:
		kind = reconcile.Modified
	default:
		return item
	}
	item.Requests = []reconcile.Request{{Kind: kind, OutBizNo: f.OutBizNo, Values: values, At: f.at(), Source: "the file"}}
	return item
}

// values are what was asked for, as one object.
func (f fileRow) values() json.RawMessage {
	all := make(map[string]any)
	_ = json.Unmarshal(f.Requested, &all) // it is an object, or absent
	if f.Quantity != "" {
		all["voucher_quantity"] = f.Quantity
	}
	if f.EndTime != "" {
		all["publish_end_time"] = f.EndTime
	}
	if f.Name != "" {
		all["activity_name"] = f.Name
	}
	if len(all) == 0 {
		return nil
	}
	return asJSON(all)
}
