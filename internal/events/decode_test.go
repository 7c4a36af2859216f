package events_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"alipay-notify/internal/events"
)

// decodes reads data into the kind's Go type. Unknown fields are taken out
// first: encoding/json would put "SUCCESS" into the field "success", and what
// is unknown may have any type.
func decodes(k events.Kind, data []byte) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("%w: %w: %s", errDecode, err, data)
	}
	known := make(map[string]json.RawMessage)
	for i := range k.GoType().NumField() {
		name, _, _ := strings.Cut(k.GoType().Field(i).Tag.Get("json"), ",")
		if v, ok := all[name]; ok {
			known[name] = v
		}
	}
	b, err := json.Marshal(known)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, reflect.New(k.GoType()).Interface()); err != nil {
		return fmt.Errorf("%w: %w: %s", errDecode, err, data)
	}
	return nil
}
