// Package events is the vocabulary of the product: the notification that
// Alipay sends, the typed event that we store, the catalogue of kinds, subjects,
// and the CloudEvents headers. It does no I/O and knows no transport.
//
// Reading is lenient, because Alipay's documents contradict its messages;
// writing is strict, because consumers build on it. Nothing verified is ever
// dropped: what cannot be typed is carried in the form `other.*` with a header
// that says why.
package events
