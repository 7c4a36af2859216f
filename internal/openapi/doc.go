// Package openapi asks Alipay: a client for both of its protocols, v3 REST and
// gateway.do, on the standard library alone. It signs requests, proves answers,
// retries what may be retried, and says of every failure what it means and what
// to do next. docs/OPENAPI.md is its manual.
//
// What it promises: an answer is data only when a configured key of Alipay
// verifies its signature, over the very bytes that came. An unsigned success is
// refused, and an unsigned error is marked as such. A write is repeated only
// where Alipay promises that a repeat is harmless; where nobody can know whether
// it happened, the error says that. No error and nothing that can be printed
// holds a key or a token; no error holds the value of a parameter.
//
// What it refuses to know: configuration files, who calls and why, where keys
// lie, events and streams. It never fetches a key or a certificate, least of all
// because an answer named one. Sections in comments are those of PROTOCOL.md.
package openapi
