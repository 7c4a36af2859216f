package main

import (
	"os"
	"path/filepath"
	"sync"
)

// crew is every process, line and port of a run, so that all of them end with it.
// It is safe for concurrent use.
type crew struct {
	dir string
	ports

	mu      sync.Mutex
	units   []*unit
	proxies []*proxy
}

// unit makes a program of the run; nothing starts yet.
func (c *crew) unit(name string, argv ...string) (*unit, error) {
	log, err := os.OpenFile(filepath.Join(c.dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	u := &unit{name: name, argv: argv, log: log}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.units = append(c.units, u)
	return u, nil
}

// proxy makes a line to a server.
func (c *crew) proxy(target string) (*proxy, error) {
	p, err := newProxy(target)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proxies = append(c.proxies, p)
	return p, nil
}

// close ends every process, whatever state it is in, and cuts every line.
func (c *crew) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var done sync.WaitGroup
	for _, u := range c.units {
		done.Go(func() {
			u.kill()
			_ = u.log.Close() // nothing writes to it any more
		})
	}
	done.Wait()
	for _, p := range c.proxies {
		p.close()
	}
}
