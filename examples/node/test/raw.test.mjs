import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import test from 'node:test';
import { readEvent } from '../lib/event.mjs';
import { provedRequest, readKey } from '../lib/raw.mjs';
import { Refused } from '../lib/refused.mjs';
import { app, body, encoded, event, keyID, publicPEM, withHeaders } from './alipay.mjs';

const keys = new Map([readKey(publicPEM)]);

const fields = {
  charset: 'UTF-8', biz_content: '{"a":"1 + 1 & 2=2 %41 券"}', utc_timestamp: '1767225600000', empty: '', app_id: app,
  version: '1.1', sign_type: 'RSA2', notify_id: 'n1', msg_method: 'm',
};

/** @param {string} raw @param {string} rule @param {string} [encoding] */
function proved(raw, rule, encoding = '') {
  const headers = new Map([['Alipay-Raw', raw], ['Alipay-Raw-Encoding', encoding], ['Alipay-Proof', `key=${keyID}; rule=${rule}`]]);
  return provedRequest((name) => headers.get(name) ?? '', keys);
}

/** @param {() => unknown} call @param {RegExp} reason */
const refused = (call, reason) => assert.throws(call, (err) => err instanceof Refused && reason.test(err.message));

test('names a key as the receiver does, and takes no other file', () => {
  assert.equal(readKey(publicPEM)[0], keyID);
  assert.equal(readKey(`alipay-notify development key: never register it\n${publicPEM}\n`)[0], keyID, 'text before the block');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  assert.throws(() => readKey(String(privateKey.export({ type: 'pkcs8', format: 'pem' }))), /private key/);
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  assert.throws(() => readKey(String(publicKey.export({ type: 'spki', format: 'pem' }))), /RSA/);
  assert.throws(() => readKey('MIIB'), /PEM/);
});

test('every rule fits what it signed, and nothing else', () => {
  const { sign_type, ...untyped } = fields;
  const cases = /** @type {const} */ ([
    [fields, 'keep', false], [fields, 'keep', true], [fields, 'drop', false], [fields, 'drop', true],
    [untyped, 'insert', false], [untyped, 'insert', true], [untyped, 'keep', true],
  ]);
  for (const [sent, signType, dropEmpty] of cases) {
    const raw = body(sent, { signType, dropEmpty });
    const rule = `${signType}-sign-type,${dropEmpty ? 'drop' : 'keep'}-empty`;
    const form = proved(raw, rule);
    assert.equal(Buffer.from(form.get('biz_content') ?? '', 'latin1').toString(), fields.biz_content);
    refused(() => proved(raw, rule.replace(/\w+-empty/, dropEmpty ? 'keep-empty' : 'drop-empty')), /signature/);
    refused(() => proved(raw.replace('n1', 'n2'), rule), /signature/);
    refused(() => proved(`${raw}&extra=1`, rule), /signature/);
  }
  refused(() => proved(body({ ...fields, sign_type: '' }, { signType: 'insert' }), 'insert-sign-type,keep-empty'), /inserts/);
});

/** Alipay signs the bytes of the charset it declares. Decoded as text they were others, and nothing in GBK verified. */
test('what is signed is bytes', () => {
  const gbk = Buffer.from([0x7b, 0x22, 0x61, 0x22, 0x3a, 0x22, 0xc8, 0xaf, 0x22, 0x7d]); // {"a":"券"}
  const raw = body({ ...fields, charset: 'GBK', biz_content: gbk });
  assert.match(raw, /%C8%AF/);
  assert.deepEqual(Buffer.from(proved(raw, 'keep-sign-type,keep-empty').get('biz_content') ?? '', 'latin1'), gbk);
  const unescaped = decodeURIComponentBytes(raw); // some clients escape less; the header then holds base64
  for (const zip of [true, false]) {
    proved(encoded(unescaped, zip), 'keep-sign-type,keep-empty', zip ? 'gzip+base64' : 'base64');
  }
});

/** The body with its GBK bytes unescaped. @param {string} raw */
const decodeURIComponentBytes = (raw) => Buffer.from(raw.replace('%C8%AF', '\xc8\xaf'), 'latin1');

test('refuses what is no proof', () => {
  const raw = body(fields);
  const rule = 'keep-sign-type,keep-empty';
  for (const proof of ['', `key=${keyID}`, `key=${keyID}; rule=keep`, `key=${keyID}; rule=${rule} `, `rule=${rule}; key=${keyID}`]) {
    const headers = new Map([['Alipay-Raw', raw], ['Alipay-Proof', proof]]);
    refused(() => provedRequest((name) => headers.get(name) ?? '', keys), /Alipay-Proof/);
  }
  const other = new Map([['Alipay-Raw', raw], ['Alipay-Proof', `key=0123456789abcdef; rule=${rule}`]]);
  refused(() => provedRequest((name) => other.get(name) ?? '', keys), /key 0123456789abcdef, which was not given/);

  refused(() => proved('', rule), /missing/);
  refused(() => proved(raw, rule, 'br'), /Encoding/);
  refused(() => proved(encoded(raw, false), rule, 'gzip+base64'), /unpacked/);
  refused(() => proved(encoded(Buffer.alloc(65 << 20), true), rule, 'gzip+base64'), /unpacked/);
  refused(() => proved(`${raw}&charset=UTF-8`, rule), /proper form/);
  refused(() => proved(`${raw}&a%26b=1`, rule), /proper form/);
  refused(() => proved(`${raw}&x=%4`, rule), /proper form/);
  refused(() => proved(`${raw}${Array.from({ length: 300 }, (_, i) => `&f${i}=1`).join('')}`, rule), /proper form/);
  refused(() => proved(raw.replace(/sign=[^&]*/, 'sign='), rule), /signature/);
  refused(() => proved(raw.replace(/sign=[^&]*/, '$&%0A'), rule), /base64/);
  refused(() => proved(body({ ...fields, sign_type: 'RSA' }), rule), /RSA2/);
});

/** @param {import('./alipay.mjs').Stored} stored */
const read = (stored) => readEvent({ ...stored, headers: { get: (name) => stored.headers.get(name) ?? '' } }, keys);

test('an event has to say what its request says', () => {
  const voucher = event('voucher.created', '活动/1', { id: 'n1', business: 'b1' });
  const card = event('card.open_result', '000001', { success: true });
  assert.ok(read(voucher));
  assert.ok(read(card));
  assert.ok(read(withHeaders(voucher, { 'ce-id': 'n1~0123abcd' })), 'a conflict');
  assert.ok(read(event('voucher.created', 'a', { content: { activity_id: 'a', unknown: 12345678901234567890 } })));

  for (const id of ['n2', 'n1~', 'n1~0123abcdef', 'n1x', 'n1~0123ABCD', 'n', '~0123abcd']) {
    refused(() => read(withHeaders(voucher, { 'ce-id': id })), /notify_id/);
  }
  refused(() => read(withHeaders(voucher, { 'ce-source': '/alipay/1' })), /app_id/);
  refused(() => read(withHeaders(voucher, { 'ce-time': '2026-01-01T00:00:01Z' })), /ce-time/);
  refused(() => read(withHeaders(voucher, { 'Alipay-Raw': /** @type {string} */ (card.headers.get('Alipay-Raw')) })), /msg_method/);
  refused(() => read(withHeaders(voucher, { 'Alipay-Raw': '' })), /missing/);
  for (const changed of [{ id: 'b2' }, { activity_id: 'x' }, { biz_card_no: '1' }]) {
    const data = { ...JSON.parse(Buffer.from(voucher.data).toString()), ...changed };
    refused(() => read({ ...voucher, data: Buffer.from(JSON.stringify(data)) }), /not the same/);
  }
  refused(() => read({ ...card, data: Buffer.from('{"biz_card_no":"000001","success":false}') }), /success is not the same/);
});

/** @param {Record<string, string | Buffer>} fields @param {string} data */
function stored(fields, data) {
  const raw = body({ app_id: app, notify_id: 'n1', msg_method: 'alipay.marketing.activity.message.created', utc_timestamp: '1767225600000', ...fields });
  return { ...withHeaders(event('voucher.created', 'a', { id: 'n1' }), { 'Alipay-Raw': raw }), data: Buffer.from(data) };
}

test('what Alipay writes loosely agrees with what is typed', () => {
  for (const [said, data] of [
    ['{"activity_id":20160427008260045084,"event_time":1767225600}', '{"activity_id":"20160427008260045084"}'],
    ['{"activity_id":"a","event_time":"yesterday"}', '{"activity_id":"a","_unparsed":{"event_time":"yesterday"}}'],
    ['{"activity_id":"a","success":{"x":1}}', '{"activity_id":"a","_unparsed":{"success":{"x":1}}}'],
    ['{"activity_id":"a","id":null}', '{"activity_id":"a","_unparsed":{"id":null}}'],
  ]) {
    assert.ok(read(stored({ biz_content: said }, data)), said);
  }
  const gbk = Buffer.concat([Buffer.from('{"activity_id":"'), Buffer.from([0xc8, 0xaf]), Buffer.from('"}')]);
  assert.ok(read(stored({ charset: 'GBK', biz_content: gbk }, '{"activity_id":"券"}')));
  refused(() => read(stored({ charset: 'GBK', biz_content: gbk }, '{"activity_id":"卷"}')), /activity_id/);
  assert.ok(read(stored({ encrypt_type: 'AES', biz_content: 'c2VjcmV0' }, '{"activity_id":"anything"}')), 'encrypted: the word of the receiver');
});

/** Values are signed as they are, so that one genuine signature fits forms whose fields were merged or split. */
test('a form that was cut otherwise under the same signature is no proof', () => {
  const merged = stored({ biz_content: '{"activity_id":"a"}' }, '{"activity_id":"a"}');
  const raw = /** @type {string} */ (merged.headers.get('Alipay-Raw')).replace('&utc_timestamp=', '%26utc_timestamp%3D');
  const id = 'n1&utc_timestamp=1767225600000';
  const sorted = raw.replace(/^(app_id=[^&]*)&(notify_id=[^&]*)&(msg_method=[^&]*)(%26utc_timestamp%3D\d+)/, '$1&$3&$2$4');
  assert.ok(proved(sorted, 'keep-sign-type,keep-empty').get('notify_id') === id, 'the signature still fits');
  refused(() => read(withHeaders(merged, { 'Alipay-Raw': sorted, 'ce-id': id })), /two in one/);

  const split = stored({ biz_content: '{"activity_id":"a","x":"&m=1"}' }, '{"activity_id":"a"}');
  const cut = /** @type {string} */ (split.headers.get('Alipay-Raw')).replace('%26m%3D1', '&m=1');
  refused(() => read(withHeaders(split, { 'Alipay-Raw': cut })), /JSON object/);
});
