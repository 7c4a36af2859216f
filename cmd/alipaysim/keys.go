package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"alipay-notify/internal/alipaytest"
	"alipay-notify/internal/cli"
)

// The names of the key files. send and the example configuration use them.
const (
	defaultKeyDir    = "dev"
	alipayPrivateKey = "alipay-private.pem"
	alipayPublicKey  = "alipay-public.pem"
	appPrivateKey    = "app-private.pem"
	appPublicKey     = "app-public.pem"
	aesKeyFile       = "aes.key"
)

// The bounds of --bits. Go refuses shorter keys, and longer ones take minutes.
const minBits, maxBits = 1024, 4096

// keyFile is one file that keys writes, and one row of its output.
type keyFile struct {
	Path    string `json:"path"`
	Purpose string `json:"purpose"`

	mode    fs.FileMode
	content []byte
}

type keysOptions struct {
	dir       string
	bits      int
	ifMissing bool
	force     bool
	format    cli.Format
}

func keysCommand() *cobra.Command {
	var o keysOptions
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make development keys: Alipay's, the app's own, and one for AES",
		Long: `keys writes five files into a directory: the key pair that plays Alipay's, a key
pair for the app, and an AES key. Private halves and the AES key are readable by
their owner alone. Files that are there are never replaced unless --force asks.`,
		Example: `  alipaysim keys                    into ./dev
  alipaysim keys --if-missing       fine, and quiet, when they are all there
  alipaysim keys --dir /tmp/k --bits 3072`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return writeKeys(cmd, o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.dir, "dir", defaultKeyDir, "directory to write to; made when it is missing")
	flags.IntVar(&o.bits, "bits", 2048, "length of the RSA keys, 1024 to 4096; Alipay's have 2048")
	flags.BoolVar(&o.ifMissing, "if-missing", false, "do nothing when all files are there")
	flags.BoolVar(&o.force, "force", false, "replace files that are there")
	cli.AddFormat(flags, &o.format)
	return cmd
}

func writeKeys(cmd *cobra.Command, o keysOptions) error {
	const help = "alipaysim keys --help"
	if o.bits < minBits || o.bits > maxBits {
		return cli.Usagef(help, "--bits %d: want %d to %d", o.bits, minBits, maxBits)
	}
	if o.ifMissing && o.force {
		return cli.Usagef(help, "--if-missing and --force exclude each other")
	}
	files := keyFiles(o.dir)
	present, err := existing(files)
	if err != nil {
		return err
	}
	switch {
	case o.ifMissing && len(present) == len(files):
		return nil
	case len(present) > 0 && !o.force:
		// A new half beside an old one would be a pair that does not fit, so
		// some files count as all.
		return cli.Declinedf("alipaysim keys --force, to replace all five",
			"%s has keys already, nothing was written: %s", o.dir, strings.Join(present, ", "))
	}
	if err := fillKeys(files, o.bits); err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil { //nolint:gosec // the public halves are for everybody; the others have their own mode
		return err
	}
	out := cli.NewPrinter(cmd.OutOrStdout(), o.format, "FILE", "PURPOSE")
	for _, file := range files {
		if err := writeAtomically(file.Path, file.content, file.mode); err != nil {
			return errors.Join(cli.Failedf("alipaysim keys --force", "write %s: %w", file.Path, err), out.Close())
		}
		if err := out.Row(file, file.Path, file.Purpose); err != nil {
			return err
		}
	}
	return out.Close()
}

// keyFiles are the files still without content. The order is that of writing.
func keyFiles(dir string) []keyFile {
	in := func(name string) string { return filepath.Join(dir, name) }
	return []keyFile{
		{Path: in(alipayPrivateKey), mode: 0o600, Purpose: "signs notifications, as Alipay: alipaysim send --key"},
		{Path: in(alipayPublicKey), mode: 0o644, Purpose: "verifies them: apps[].alipay_public_keys of the receiver"},
		{Path: in(appPrivateKey), mode: 0o600, Purpose: "signs as the app: apps[].private_key of the receiver"},
		{Path: in(appPublicKey), mode: 0o644, Purpose: "verifies what the app signs"},
		{Path: in(aesKeyFile), mode: 0o600, Purpose: "encrypts: alipaysim send --aes-key, apps[].aes_keys of the receiver"},
	}
}

// existing are the names of the files that are there.
func existing(files []keyFile) ([]string, error) {
	var present []string
	for _, file := range files {
		_, err := os.Lstat(file.Path)
		switch {
		case err == nil:
			present = append(present, filepath.Base(file.Path))
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return present, nil
}

// fillKeys makes the keys, in the order of keyFiles.
func fillKeys(files []keyFile, bits int) error {
	for i := 0; i < 4; i += 2 {
		key, err := alipaytest.GenerateKey(bits)
		if err != nil {
			return fmt.Errorf("make a key: %w", err)
		}
		if files[i].content, err = key.PrivatePEM(); err != nil {
			return fmt.Errorf("encode a key: %w", err)
		}
		files[i+1].content = key.DevelopmentPublicPEM()
	}
	files[4].content = []byte(base64.StdEncoding.EncodeToString(alipaytest.NewAESKey()) + "\n")
	return nil
}

// writeAtomically puts a whole file in place or none: a reader never sees half
// a key. os.CreateTemp makes files with mode 0600, so a secret is never
// readable by others, not even for a moment.
func writeAtomically(path string, content []byte, mode fs.FileMode) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = temp.Close() // closed already, or of no use
			_ = os.Remove(temp.Name())
		}
	}()
	if _, err = temp.Write(content); err != nil {
		return err
	}
	if err = temp.Chmod(mode); err != nil {
		return err
	}
	if err = temp.Sync(); err != nil {
		return err
	}
	if err = temp.Close(); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
