package platform

import (
	"crypto/md5"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// parseCert reads the first certificate of a PEM file: that of
// alipayCertPublicKey_RSA2.crt may hold an intermediate behind it
// (PROTOCOL.md 3.3).
func parseCert(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no CERTIFICATE block found")
	}
	return x509.ParseCertificate(block.Bytes)
}

// certSN is what Alipay calls a certificate's serial number: the MD5 of its
// issuer, most specific part first, and its serial number in decimal
// (PROTOCOL.md 3.3).
func certSN(cert *x509.Certificate) string {
	var issuer pkix.RDNSequence
	// Parsed once already, with the certificate.
	_, _ = asn1.Unmarshal(cert.RawIssuer, &issuer)
	return fmt.Sprintf("%x", md5.Sum([]byte(issuer.String()+cert.SerialNumber.String())))
}

// rootSN is the numbers of all certificates in the file that are signed with
// RSA, in their order, joined by '_'. Go cannot read the SM2 root that is in
// Alipay's file; it is not one of those.
func rootSN(data []byte) string {
	var all []string
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err == nil && strings.Contains(cert.SignatureAlgorithm.String(), "RSA") {
			all = append(all, certSN(cert))
		}
	}
	return strings.Join(all, "_")
}
