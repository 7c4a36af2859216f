package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"alipay-notify-consumer/proof"
)

// errUsage is a command line that cannot be run.
var errUsage = errors.New("wrong usage")

// options is the command line of run.
type options struct {
	nats         string
	tokenFile    string
	user         string
	passwordFile string
	creds        string
	ca           string
	apiPrefix    string   // where another account is given the API of JetStream
	name         string   // of both durable consumers, and in alipay.replays.<name>.>
	state        string   // file
	alipayKeys   []string // files; with any, each request is checked
	create       bool     // make the durable consumers
}

// nameForm is what may be a token of a subject.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func parseRun(args []string) (options, error) {
	var o options
	f := flags("run")
	f.StringVar(&o.nats, "nats", "", "")
	f.StringVar(&o.tokenFile, "token-file", "", "")
	f.StringVar(&o.user, "user", "", "")
	f.StringVar(&o.passwordFile, "password-file", "", "")
	f.StringVar(&o.creds, "creds", "", "")
	f.StringVar(&o.ca, "ca", "", "")
	f.StringVar(&o.apiPrefix, "api-prefix", "", "")
	f.StringVar(&o.name, "name", "", "")
	f.StringVar(&o.state, "state", "", "")
	f.BoolVar(&o.create, "create", false, "")
	f.Func("alipay-key", "", func(path string) error {
		o.alipayKeys = append(o.alipayKeys, path)
		return nil
	})
	if err := parse(f, args); err != nil {
		return o, err
	}
	logins := 0
	for _, login := range []string{o.tokenFile, o.user, o.creds} {
		if login != "" {
			logins++
		}
	}
	switch {
	case o.nats == "" || o.state == "":
		return o, fmt.Errorf("%w: --nats and --state are needed", errUsage)
	case strings.Contains(o.nats, "@"):
		return o, fmt.Errorf("%w: --nats holds a login; give it in a file, where no list of processes shows it", errUsage)
	case !nameForm.MatchString(o.name):
		return o, fmt.Errorf("%w: --name is 1 to 64 of A-Z a-z 0-9 _ -", errUsage)
	case logins > 1 || (o.user == "") != (o.passwordFile == ""):
		return o, fmt.Errorf("%w: log in by --token-file, or --user and --password-file, or --creds", errUsage)
	}
	return o, nil
}

func parseDump(args []string) (path string, err error) {
	f := flags("dump")
	f.StringVar(&path, "state", "", "")
	if err := parse(f, args); err != nil {
		return "", err
	}
	if path == "" {
		return "", fmt.Errorf("%w: --state is needed", errUsage)
	}
	return path, nil
}

func flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard) // command says it, once
	f.Usage = func() {}
	return f
}

func parse(f *flag.FlagSet, args []string) error {
	err := f.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if err == nil && f.NArg() > 0 {
		return fmt.Errorf("%w: unexpected %q", errUsage, f.Arg(0))
	}
	return err
}

// login gives the options of a connection that keep it safe and named. Secrets are
// read here, once: with a changed one, start anew.
func (o options) login() ([]nats.Option, error) {
	all := []nats.Option{nats.Name("consumer " + o.name)}
	switch {
	case o.tokenFile != "":
		token, err := secret(o.tokenFile)
		if err != nil {
			return nil, err
		}
		all = append(all, nats.Token(token))
	case o.user != "":
		password, err := secret(o.passwordFile)
		if err != nil {
			return nil, err
		}
		all = append(all, nats.UserInfo(o.user, password))
	case o.creds != "":
		all = append(all, nats.UserCredentials(o.creds))
	}
	if o.ca != "" {
		all = append(all, nats.RootCAs(o.ca))
	}
	return all, nil
}

func secret(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

func (o options) jetStream(nc *nats.Conn) (jetstream.JetStream, error) {
	if o.apiPrefix != "" {
		return jetstream.NewWithAPIPrefix(nc, o.apiPrefix)
	}
	return jetstream.New(nc)
}

// checker is nil when no key was given.
func (o options) checker() (*proof.Checker, error) {
	if len(o.alipayKeys) == 0 {
		return nil, nil
	}
	var files [][]byte
	for _, path := range o.alipayKeys {
		file, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read a key of Alipay's: %w", err)
		}
		files = append(files, file)
	}
	return proof.NewChecker(files...)
}
