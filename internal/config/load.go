package config

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// Load reads the file at path and lays the environment over it (environ is
// what os.Environ gives); Default holds where both are silent. The error is of
// type Problems and holds everything that is wrong; the Config is then the
// best that could be made of it, good for showing and for nothing else.
func Load(path string, environ []string) (Config, error) {
	k := koanf.New(".")
	var parsed parser
	unread := k.Load(file.Provider(path), &parsed)
	problems := parsed.problems
	if unread != nil {
		problems.add(path, "%s", unreadable(unread))
	}

	tree, wrong := override(k.Raw(), environ)
	problems = append(problems, wrong...)
	if err := k.Load(confmap.Provider(tree, ""), nil); err != nil {
		problems.add(path, "cannot be overridden: %v", err)
	}

	cfg, err := fill(k)
	if err != nil {
		problems.add(path, "cannot be used: %v", err)
	}
	cfg.resolve(directory(path))
	if unread != nil {
		// Nothing is known of what the file says: validating would only list
		// what it might have said.
		return cfg, problems.err()
	}
	problems = append(problems, cfg.check().without(problems)...)
	return cfg, problems.err()
}

// fill makes the Config of what has been read, over the defaults. The tree has
// the right types already, so an error here is a bug.
func fill(k *koanf.Koanf) (Config, error) {
	cfg := Default()
	err := k.Unmarshal("", &cfg)
	if cfg.Dev && !k.Exists("log.format") {
		cfg.Log.Format = "console"
	}
	for i := range cfg.Apps {
		cfg.Apps[i].complete()
	}
	return cfg, err
}

// unreadable says why the file gave nothing, and what to do about it.
func unreadable(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file: write it, or name another with --config or ALIPAY_NOTIFY_CONFIG"
	case errors.Is(err, fs.ErrPermission):
		return "may not be read by this user: grant it, or name another file with --config or ALIPAY_NOTIFY_CONFIG"
	}
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Sprintf("cannot be read: %v", pathErr.Err)
	}
	return err.Error()
}
