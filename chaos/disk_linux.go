package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// disk is a small file system in memory, which can be filled. It hangs nowhere in
// the tree: only the open folder keeps it, so that it is gone when we are,
// however we end.
type disk struct {
	root *os.File
	path string // for this machine's processes, as long as we live
}

// mountDisk makes a disk. The error says why that is not allowed here.
func mountDisk(at string, size int64) (*disk, error) {
	if err := os.MkdirAll(at, 0o700); err != nil {
		return nil, err
	}
	if err := syscall.Mount("tmpfs", at, "tmpfs", 0, fmt.Sprint("mode=700,size=", size)); err != nil {
		return nil, fmt.Errorf("mounting is not allowed here: %w", err)
	}
	root, err := os.Open(at)
	if err := errors.Join(err, syscall.Unmount(at, syscall.MNT_DETACH)); err != nil {
		return nil, err
	}
	return &disk{root: root, path: fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), root.Fd())}, nil
}

func (d *disk) ballast() string { return filepath.Join(d.path, "ballast") }

// fill leaves no room on the disk.
func (d *disk) fill() error {
	f, err := os.Create(d.ballast())
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // what could be written is there
	block := make([]byte, 1<<20)
	for len(block) > 0 {
		if _, err = f.Write(block); err != nil {
			block = block[:len(block)/2] // the last crumbs, too
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("fill the disk: %w", err)
	}
	return nil
}

// empty takes the ballast away.
func (d *disk) empty() error {
	if err := os.Remove(d.ballast()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (d *disk) close() { _ = d.root.Close() } // the last to know it
