package main

import (
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"math/big"

	"alipay-notify/internal/alipaytest"
)

// exampleKey plays Alipay in the examples. It is worked out from a fixed text, so
// that signatures come out the same everywhere, and so that it is plain that
// anybody has it.
func exampleKey() (*alipaytest.Key, error) {
	e := big.NewInt(65537)
	p, q := examplePrime("p", e), examplePrime("q", e)
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: int(e.Int64())},
		D:         new(big.Int).ModInverse(e, phi),
		Primes:    []*big.Int{p, q},
	}
	key.Precompute()
	if err := key.Validate(); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return alipaytest.ParsePrivatePEM(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// examplePrime is the first prime of 1024 bits in a row of numbers that begins
// with name, such that e has an inverse.
func examplePrime(name string, e *big.Int) *big.Int {
	for i := uint64(0); ; i++ {
		seed := binary.BigEndian.AppendUint64([]byte("alipay-notify example "+name), i)
		high, low := sha512.Sum512(append(seed, 'h')), sha512.Sum512(append(seed, 'l'))
		high[0] |= 0xc0 // the product of two such has 2048 bits
		low[len(low)-1] |= 1
		n := new(big.Int).SetBytes(append(high[:], low[:]...))
		if n.ProbablyPrime(20) && new(big.Int).GCD(nil, nil, e, new(big.Int).Sub(n, big.NewInt(1))).Cmp(big.NewInt(1)) == 0 {
			return n
		}
	}
}
