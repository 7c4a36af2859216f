// Package verify proves that a form was signed by Alipay: keys, signing
// string, signature, decryption. It uses the standard library alone, does no
// I/O, and never asks the network for anything, least of all because of what a
// stranger sent.
//
// Alipay signs the form fields of a notification by one of two rules (keep
// sign_type in the signed string, or drop it), documents neither reliably, and
// contradicts itself on empty fields. Two captures of the same message, app and
// key need different rules (PROTOCOL.md 0.1). So the verifier tries each form
// of the signing string against each configured key, at most a handful of RSA
// operations, and reports which one fitted.
//
// What the package refuses to do: trim, re-encode or repair a value; let the
// message choose an algorithm that the configuration does not allow; read
// anything but the fields it is given.
package verify
