package openapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
)

// Result is an answer with its fields read.
type Result[T any] struct {
	Response
	Value T
	// Unread names a field whose type is not the documented one and could not be
	// converted; Value lacks it, Data has it. Empty as a rule.
	Unread string
}

// Option changes how one typed call is made.
type Option func(*Request)

// Over picks the protocol.
func Over(g Gateway) Option { return func(r *Request) { r.Gateway = g } }

// OnBehalf acts for the merchant who gave this token (ISVs).
func OnBehalf(token Secret) Option { return func(r *Request) { r.AppAuthToken = token } }

// Encrypted encrypts the body (接口内容加密).
func Encrypted() Option { return func(r *Request) { r.Encrypt = true } }

// do is every typed call.
func do[T any](ctx context.Context, c *Client, method string, params any, opts []Option) (Result[T], error) {
	r := Request{Method: method, Params: params}
	for _, o := range opts {
		o(&r)
	}
	resp, err := c.Call(ctx, r)
	out := Result[T]{Response: resp}
	if err != nil {
		return out, err
	}
	out.Unread, err = decode(resp.Data, &out.Value)
	if err != nil { // not reached: Data is a JSON object, and every T is a struct
		return out, &Error{Kind: Garbled, Method: method, Gateway: resp.Gateway, Status: resp.Status, TraceID: resp.TraceID, Err: errShape}
	}
	return out, nil
}

// decode reads an answer leniently: a string where a number is documented is
// converted, and the other way round; what cannot be converted is left out and
// named. One field of another type must not hide a hundred good ones.
func decode(data []byte, into any) (unread string, err error) {
	err = json.Unmarshal(data, into)
	if _, mistyped := errors.AsType[*json.UnmarshalTypeError](err); !mistyped {
		return "", err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return "", err
	}
	t := reflect.TypeOf(into).Elem()
	data, err = json.Marshal(coerce(tree, t))
	if err != nil {
		return "", err
	}
	reflect.ValueOf(into).Elem().SetZero() // of what the first try has left
	err = json.Unmarshal(data, into)
	if e, mistyped := errors.AsType[*json.UnmarshalTypeError](err); mistyped {
		return e.Field, nil // the rest was read
	}
	return "", err
}

// coerce makes scalars what their field wants, where that loses nothing.
func coerce(v any, t reflect.Type) any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := v.(type) {
	case map[string]any:
		if t.Kind() == reflect.Struct {
			for i := range t.NumField() {
				if t.Field(i).Anonymous {
					coerce(v, t.Field(i).Type)
				}
				name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
				if inner, ok := v[name]; ok {
					v[name] = coerce(inner, t.Field(i).Type)
				}
			}
		}
	case []any:
		if t.Kind() == reflect.Slice {
			for i := range v {
				v[i] = coerce(v[i], t.Elem())
			}
		}
	case json.Number:
		if t.Kind() == reflect.String {
			return v.String()
		}
	case bool:
		if t.Kind() == reflect.String {
			return strconv.FormatBool(v)
		}
	case string:
		return coerceText(v, t)
	}
	return v
}

func coerceText(s string, t reflect.Type) any {
	switch t.Kind() {
	case reflect.Int64:
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n
		}
		if s == "" {
			return nil
		}
	case reflect.Bool:
		if b, err := strconv.ParseBool(strings.ToLower(s)); err == nil {
			return b
		}
	}
	return s
}
