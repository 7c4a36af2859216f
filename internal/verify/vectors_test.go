package verify_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"alipay-notify/internal/verify"
)

// failureClasses are the words after "expect:" in testdata/*.txt.
var failureClasses = map[string]error{
	"encoding":         verify.ErrEncoding,
	"repeated_field":   verify.ErrRepeatedField,
	"field_name":       verify.ErrFieldName,
	"algorithm":        verify.ErrAlgorithm,
	"signature_format": verify.ErrSignatureFormat,
	"signature":        verify.ErrSignature,
}

// TestVectors verifies bodies that openssl and a shell script made without any
// code of ours (testdata/generate.sh), and others that the JDK made
// (testdata/generate-second.sh). Each file says what must come of it.
func TestVectors(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 80 {
		t.Fatalf("%d vectors: some are missing", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			header, body := readVector(t, file)
			match, err := verifyVector(t, header, body)
			class, rest, _ := strings.Cut(header["expect"], " ")
			if class == "accepted" {
				rule, keyFile, _ := strings.Cut(rest, " ")
				want := vectorKey(t, keyFile).ID
				if err != nil || match.KeyID != want || match.Rule.String() != rule {
					t.Errorf("%s\ngot  %v, key %s, %v\nwant %s, key %s", header["comment"], match.Rule, match.KeyID, err, rule, want)
				}
				return
			}
			want, known := failureClasses[header["expect"]]
			if !known {
				t.Fatalf("unknown class %q", header["expect"])
			}
			if !errors.Is(err, want) {
				t.Errorf("%s\ngot %+v, %v, want %v", header["comment"], match, err, want)
			}
		})
	}
}

func verifyVector(t *testing.T, header map[string]string, body []byte) (verify.Match, error) {
	t.Helper()
	var keys []verify.PublicKey
	for _, file := range strings.Fields(header["keys"]) {
		keys = append(keys, vectorKey(t, file))
	}
	var types []verify.SignType
	for _, name := range strings.Fields(header["types"]) {
		types = append(types, verify.SignType(name))
	}
	v, err := verify.New(keys, types)
	if err != nil {
		t.Fatal(err)
	}
	form, err := verify.ParseForm(string(body))
	if err != nil {
		return verify.Match{}, err
	}
	return v.Verify(form, form.Get("msg_method"))
}

func vectorKey(t *testing.T, file string) verify.PublicKey {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	key, err := verify.ParsePublicKey(data)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return key
}

// readVector reads the header and the body, which is one line.
func readVector(t *testing.T, file string) (header map[string]string, body []byte) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, body, found := bytes.Cut(data, []byte("\n\n"))
	if !found {
		t.Fatal("no empty line after the header")
	}
	header = make(map[string]string)
	for line := range strings.Lines(string(head)) {
		name, value, _ := strings.Cut(line, ":")
		header[name] = strings.TrimSpace(value)
	}
	for _, name := range []string{"comment", "keys", "types", "expect"} {
		if header[name] == "" {
			t.Errorf("the header has no %s", name)
		}
	}
	return header, bytes.TrimSuffix(body, []byte("\n"))
}

// The private halves of the test keys were thrown away. This keeps anybody
// from adding one.
func TestTestdataHoldsNoPrivateKey(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			continue // the corpora of the fuzz targets
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte("PRIVATE"+" KEY")) {
			t.Errorf("%s holds a private key", file)
		}
	}
}
