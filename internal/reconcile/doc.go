// Package reconcile compares the state at Alipay with the stored events, and
// says what has never arrived. State proves that an activity was published and
// that it was stopped, and that a card was opened; it proves a modification or an
// append only where the request is known. What it does not prove is called
// cannot_tell, never guessed: docs/RECONCILE.md has the table, judge.go is it.
//
// The state is asked for first, and the events are looked up afterwards: what
// arrives in between is no false alarm. Memory does not grow with the number of
// items.
//
// It knows no OpenAPI, no stream, no file and no terminal: what it compares
// comes to it through Asker, Archive and Book.
package reconcile
