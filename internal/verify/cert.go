package verify

import (
	"crypto/md5" //nolint:gosec // Alipay names certificates by an MD5; nothing is proved by it
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Certificate is Alipay's public key as certificate mode gives it: the leaf of
// alipayCertPublicKey_RSA2.crt.
type Certificate struct {
	PublicKey
	SN        string    // Alipay's serial number, see SerialNumber
	NotBefore time.Time // UTC
	NotAfter  time.Time // UTC; Alipay renews 30 days before, with the same key (PROTOCOL.md 3.3)
}

// ParseCertificate reads alipayCertPublicKey_RSA2.crt: the leaf, and perhaps
// intermediates after it. Blocks that cannot be parsed are passed over (Go does
// not know the curve of Alipay's SM2 certificates), but the first one that can
// must be the leaf with an RSA key. The chain is not checked: sandbox
// certificates and files with the leaf alone would fail, and what makes the key
// trusted is that the operator configured it.
func ParseCertificate(data []byte) (Certificate, error) {
	blocks := 0
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.Contains(block.Type, "PRIVATE KEY") {
			return Certificate{}, errors.New("this is a private key; Alipay's certificate belongs here")
		}
		if block.Type != "CERTIFICATE" {
			return Certificate{}, fmt.Errorf("PEM block %q: a public key belongs in alipay_public_keys", block.Type)
		}
		blocks++
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		return leaf(cert, data)
	}
	if blocks > 0 {
		return Certificate{}, fmt.Errorf("none of the %d certificates can be read", blocks)
	}
	return Certificate{}, errors.New("no PEM certificate: download alipayCertPublicKey_RSA2.crt from the console again")
}

func leaf(cert *x509.Certificate, data []byte) (Certificate, error) {
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return Certificate{}, fmt.Errorf("the certificate's key is %T; alipayCertPublicKey_RSA2.crt has an RSA key", cert.PublicKey)
	}
	if cert.IsCA {
		return Certificate{}, errors.New("this is an authority's certificate: alipayCertPublicKey_RSA2.crt belongs here, not alipayRootCert.crt")
	}
	if bits := key.N.BitLen(); bits < MinKeyBits {
		return Certificate{}, fmt.Errorf("the key has %d bits; at least %d are needed", bits, MinKeyBits)
	}
	id, err := KeyID(key)
	if err != nil {
		return Certificate{}, err
	}
	sn, err := SerialNumber(cert)
	if err != nil {
		return Certificate{}, err
	}
	return Certificate{
		PublicKey: PublicKey{ID: id, Key: key, Development: strings.Contains(string(data), DevelopmentMarker)},
		SN:        sn, NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(),
	}, nil
}

// SerialNumber is the name that Alipay gives a certificate (cert_sn): the hex
// MD5 of the issuer as RFC 2253 writes it, last name first, and the decimal
// serial number (PROTOCOL.md 3.3). It is computed from the raw sequence of the
// issuer's names, because the library's own text has an order of its own.
func SerialNumber(cert *x509.Certificate) (string, error) {
	var names pkix.RDNSequence
	if rest, err := asn1.Unmarshal(cert.RawIssuer, &names); err != nil || len(rest) > 0 {
		return "", errors.New("the certificate's issuer cannot be read")
	}
	sum := md5.Sum([]byte(rfc2253(names) + cert.SerialNumber.String())) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:]), nil
}

// attributeNames are the types that RFC 2253 writes by name.
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}

func rfc2253(names pkix.RDNSequence) string {
	var b strings.Builder
	for i := len(names) - 1; i >= 0; i-- {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		for j, a := range names[i] {
			if j > 0 {
				b.WriteByte('+')
			}
			name, known := attributeNames[a.Type.String()]
			text, isText := a.Value.(string)
			if known && isText {
				b.WriteString(name + "=" + escapeDN(text))
				continue
			}
			der, err := asn1.Marshal(a.Value)
			if err != nil {
				der = nil
			}
			b.WriteString(a.Type.String() + "=#" + hex.EncodeToString(der))
		}
	}
	return b.String()
}

func escapeDN(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		edge := i == 0 && (c == '#' || c == ' ') || i == len(s)-1 && c == ' '
		if edge || strings.IndexByte(`,+"\<>;`, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}
