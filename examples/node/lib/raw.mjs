// Checks with Alipay's own key that Alipay sent a notification. The event carries
// the request byte for byte (Alipay-Raw) and says which key and which rule proved
// it (Alipay-Proof); nobody in between has to be trusted.
// That data says what the request says is for agree.mjs to compare.

import { createHash, createPublicKey, verify } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { Refused } from './refused.mjs';

const maxRaw = 64 << 20; // bytes; a few KiB of gzip can say gigabytes
const maxFields = 256;

/**
 * Reads one of Alipay's public keys, PEM.
 *
 * @param {string} pem
 * @returns {[id: string, key: import('node:crypto').KeyObject]} id: as proofs name the key, the first
 *   16 hex digits of the SHA-256 of its SubjectPublicKeyInfo
 */
export function readKey(pem) {
  if (pem.includes('PRIVATE KEY')) throw new Error("this is a private key; Alipay's public key belongs here");
  const block = /-----BEGIN [^]*?-----END [A-Z ]+-----/.exec(pem);
  if (!block) throw new Error('not PEM: want -----BEGIN PUBLIC KEY-----');
  const key = createPublicKey(block[0]);
  if (key.asymmetricKeyType !== 'rsa') throw new Error("not an RSA key, as Alipay's are");
  const der = key.export({ type: 'spki', format: 'der' });
  return [createHash('sha256').update(der).digest('hex').slice(0, 16), key];
}

/**
 * The form that Alipay signed and sent.
 *
 * @param {(name: string) => string} header a header as it came, or ''
 * @param {Map<string, import('node:crypto').KeyObject>} keys by their ids
 * @returns {Map<string, string>} its fields, as bytes (see parseForm)
 * @throws {Refused} when nothing proves it
 */
export function provedRequest(header, keys) {
  const proof = /^key=([0-9a-f]+); rule=(keep|drop|insert)-sign-type,(keep|drop)-empty$/.exec(header('Alipay-Proof'));
  if (!proof) throw new Refused('Alipay-Proof is missing or unreadable');
  const [, keyID, signType, empty] = proof;
  const key = keys.get(keyID);
  if (!key) throw new Refused(`Alipay-Proof names the key ${keyID}, which was not given`); // add it, and have the message redriven
  const form = parseForm(decodeRaw(header('Alipay-Raw'), header('Alipay-Raw-Encoding')));
  const signed = signedBytes(form, signType, empty === 'drop');
  if (!verify('sha256', signed, key, signature(form.get('sign') ?? ''))) throw new Refused('the signature of Alipay-Raw is wrong');
  return form;
}

/** @param {string} value @param {string} encoding @returns {Buffer} */
function decodeRaw(value, encoding) {
  if (value === '') throw new Refused('Alipay-Raw is missing');
  if (encoding === '') return Buffer.from(value, 'latin1');
  const bytes = Buffer.from(value, 'base64');
  if (encoding === 'base64') return bytes;
  if (encoding !== 'gzip+base64') throw new Refused('Alipay-Raw-Encoding is unknown');
  try {
    return gunzipSync(bytes, { maxOutputLength: maxRaw });
  } catch {
    throw new Refused('Alipay-Raw cannot be unpacked');
  }
}

/**
 * The fields of a form body, decoded once. Names and values are bytes, one a
 * character (latin1): what is signed is the bytes of whatever charset was used,
 * GBK included, and decoding them as UTF-8 would destroy them.
 *
 * @param {Buffer} body
 * @returns {Map<string, string>}
 */
function parseForm(body) {
  const form = new Map();
  for (const pair of body.toString('latin1').split('&')) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    const name = decodeField(at < 0 ? pair : pair.slice(0, at));
    // A repeated name, or one with & or = in it, makes it a matter of opinion what was signed.
    if (form.has(name) || /[&=]/.test(name) || form.size === maxFields) throw new Refused('Alipay-Raw is not a proper form');
    form.set(name, at < 0 ? '' : decodeField(pair.slice(at + 1)));
  }
  return form;
}

/** @param {string} text */
function decodeField(text) {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) throw new Refused('Alipay-Raw is not a proper form');
  return text.replace(/\+/g, ' ').replace(/%(..)/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
}

/**
 * What Alipay signed: name=value in the byte order of the names, joined by &,
 * without sign. Alipay itself does not always do the same with sign_type and with
 * empty values; the proof says what it was.
 *
 * @param {Map<string, string>} form
 * @param {string} signType keep: signed as sent, drop: not signed, insert: signed but not sent
 * @param {boolean} dropEmpty
 */
function signedBytes(form, signType, dropEmpty) {
  const sent = form.get('sign_type');
  // The field decides nothing: only RSA2 is accepted, and it may be unsigned.
  if (sent && sent !== 'RSA2') throw new Refused('sign_type of Alipay-Raw is not RSA2');
  if (signType === 'insert' && sent !== undefined) throw new Refused('Alipay-Proof inserts a sign_type that is there');
  const fields = new Map(form);
  fields.delete('sign');
  if (signType === 'drop') fields.delete('sign_type');
  if (signType === 'insert') fields.set('sign_type', 'RSA2');
  const text = [...fields]
    .filter(([, value]) => !dropEmpty || value !== '')
    .sort(([a], [b]) => (a < b ? -1 : 1)) // one character is one byte here
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
  return Buffer.from(text, 'latin1');
}

/** @param {string} base64 */
function signature(base64) {
  const bytes = Buffer.from(base64, 'base64'); // passes over whatever is not base64
  if (bytes.toString('base64') !== base64) throw new Refused('the signature of Alipay-Raw is not base64');
  return bytes;
}
