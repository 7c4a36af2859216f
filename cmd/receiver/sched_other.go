//go:build !linux

package main

// scheduleBatch does nothing: only Linux has this policy.
func scheduleBatch() error { return nil }
