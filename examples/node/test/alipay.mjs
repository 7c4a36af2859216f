// Plays Alipay and the receiver for the tests: notifications signed with a key of
// our own, stored as events.

import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { gzipSync } from 'node:zlib';

export const app = '2021000000000001';
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
export const publicPEM = String(publicKey.export({ type: 'spki', format: 'pem' }));
export const keyID = createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('hex').slice(0, 16);

/**
 * The form body of a notification. Values are strings or bytes; pairs are written
 * in the order given, all bytes escaped that have to be.
 *
 * @param {Record<string, string | Buffer>} fields without sign
 * @param {{signType?: 'keep' | 'drop' | 'insert', dropEmpty?: boolean}} [rule]
 */
export function body(fields, { signType = 'keep', dropEmpty = false } = {}) {
  /** @type {Record<string, string | Buffer>} */
  const signed = { ...fields };
  if (signType === 'drop') delete signed.sign_type;
  if (signType === 'insert') signed.sign_type = 'RSA2';
  const names = Object.keys(signed).filter((name) => !dropEmpty || signed[name].length > 0).sort();
  const parts = names.flatMap((name, i) => [Buffer.from(`${i ? '&' : ''}${name}=`), Buffer.from(signed[name])]);
  const signature = sign('sha256', Buffer.concat(parts), privateKey).toString('base64');
  return Object.entries({ ...fields, sign: signature }).map(([name, value]) => `${name}=${escape(Buffer.from(value))}`).join('&');
}

/** @param {Buffer} bytes */
const escape = (bytes) => [...bytes].map((c) => {
  const char = String.fromCharCode(c);
  if (char === ' ') return '+';
  return /[A-Za-z0-9._-]/.test(char) ? char : `%${c.toString(16).padStart(2, '0').toUpperCase()}`;
}).join('');

/**
 * @typedef {object} Stored a message as the stream has it
 * @property {string} subject
 * @property {Map<string, string>} headers
 * @property {Uint8Array} data
 */

let count = 0;

/**
 * An event as the receiver stores it.
 *
 * @param {string} kind
 * @param {string} key
 * @param {{id?: string, business?: string, at?: number, success?: boolean, content?: Record<string, unknown>}} [options] at: ms
 * @returns {Stored}
 */
export function event(kind, key, { id = `n${++count}`, business, at = 1767225600000, success, content = {} } = {}) {
  const [entity, action] = kind.split('.');
  const method = entity === 'card' ? 'alipay.user.opencard.result.notify' : `alipay.marketing.activity.message.${action}`;
  const said = entity === 'card' ? { biz_card_no: key, success: String(success), ...content } : { activity_id: key, event_time: String(at), ...content };
  const data = entity === 'card' ? { biz_card_no: key, success, ...content } : { activity_id: key, event_time: new Date(at).toISOString(), ...content };
  if (business) Object.assign(said, { id: business }) && Object.assign(data, { id: business });
  const raw = body({
    app_id: app, notify_id: id, msg_method: method, utc_timestamp: String(at), charset: 'UTF-8',
    version: '1.1', sign_type: 'RSA2', biz_content: JSON.stringify(said),
  });
  const token = key.replace(/[^A-Za-z0-9_-]/g, '_');
  return {
    subject: `alipay.events.${app}.${kind}.${token}`,
    data: Buffer.from(JSON.stringify(data)),
    headers: new Map(Object.entries({
      'ce-specversion': '1.0', 'ce-id': id, 'ce-source': `/alipay/${app}`, 'ce-type': method,
      'ce-subject': key, 'ce-time': new Date(at).toISOString(), 'Nats-Msg-Id': `${app}:${id}`,
      'Alipay-Raw': raw, 'Alipay-Proof': `key=${keyID}; rule=keep-sign-type,keep-empty`,
    })),
  };
}

/** A replay of an event for one consumer. @param {Stored} original @param {string} name @param {number} sequence @returns {Stored} */
export function replay(original, name, sequence) {
  return {
    ...original,
    subject: original.subject.replace('alipay.events.', `alipay.replays.${name}.`),
    headers: new Map([...original.headers, ['ce-replayjob', 'job'], ['ce-replayof', String(sequence)], ['Nats-Msg-Id', `replay:job:${sequence}`]]),
  };
}

/** @param {Stored} stored @param {Record<string, string>} changes an empty value removes the header @returns {Stored} */
export function withHeaders(stored, changes) {
  const all = Object.entries({ ...Object.fromEntries(stored.headers), ...changes });
  return { ...stored, headers: new Map(all.filter(([, value]) => value !== '')) };
}

/** @param {string | Buffer} raw @param {boolean} zip */
export const encoded = (raw, zip) => (zip ? gzipSync(raw) : Buffer.from(raw)).toString('base64');
