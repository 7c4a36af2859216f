// Reads one message of ALIPAY_EVENTS or ALIPAY_REPLAYS: CloudEvents 1.0, NATS
// binding, binary mode. The data is what the published schema says (types/).

import { agree } from './agree.mjs';
import { instant } from './order.mjs';
import { provedRequest } from './raw.mjs';
import { Refused } from './refused.mjs';

/** @typedef {import('../types/index.js').EventData} EventData */
/** @typedef {import('./state.mjs').Effect} Effect */

/**
 * The part of a NATS message that is read here.
 * @typedef {object} Message
 * @property {string} subject
 * @property {Uint8Array} data
 * @property {{get(name: string): string}} [headers]
 */

/** The kinds that are read, and Alipay's own name of each (ce-type). */
const kinds = new Map([
  ...['created', 'modified', 'appended', 'stopped', 'received', 'used', 'expired'].map(
    (action) => /** @type {const} */ ([`voucher.${action}`, `alipay.marketing.activity.message.${action}`]),
  ),
  ['card.open_result', 'alipay.user.opencard.result.notify'],
]);

/**
 * Tells what a message does to the state.
 *
 * @param {Message} message
 * @param {Map<string, import('node:crypto').KeyObject>} [keys] with keys of Alipay the request itself is checked
 * @returns {Effect | undefined} undefined when it is of no interest here
 * @throws {Refused} when it can never be read
 */
export function readEvent(message, keys) {
  const [entity, action] = kindOf(message.subject);
  if (entity !== 'voucher' && entity !== 'card') return undefined; // an operator may replay anything to us
  const get = (/** @type {string} */ name) => attribute(message, name);
  if (get('ce-specversion') !== '1.0') throw new Refused('not a CloudEvent 1.0');
  const event = { source: get('ce-source'), id: get('ce-id'), type: get('ce-type'), time: get('ce-time') };
  // /alipay/<app>/inferred is what reconciliation concluded: nothing that Alipay said.
  const app = /^\/alipay\/([^/]+)$/.exec(event.source)?.[1];
  if (!app) throw new Refused('ce-source names no app');
  if (!event.id) throw new Refused('ce-id is missing');
  if (instant(event.time) === undefined) throw new Refused('ce-time is not a time of RFC 3339');
  if (kinds.get(`${entity}.${action}`) !== event.type) {
    throw new Refused('ce-type is of no kind that this consumer knows, or not that of the subject');
  }
  const data = parseData(message.data);
  const read = entity === 'card' ? readCard(data) : readVoucher(data);
  const effect = { ...event, ...businessId(data), app, entity, action, ...read };
  if (keys?.size) agree(effect, data, provedRequest((name) => message.headers?.get(name) ?? '', keys));
  return effect;
}

/** @param {Record<string, unknown>} data */
function businessId({ id }) {
  if (id === undefined || id === '') return {};
  if (typeof id !== 'string') throw new Refused('data.id is not a string');
  return { business: id };
}

/** @param {Partial<EventData['voucher.modified']>} data */
function readVoucher({ activity_id: key }) {
  if (typeof key !== 'string' || key === '') throw new Refused('data has no activity_id');
  return { key };
}

/** @param {Partial<EventData['card.open_result']>} data */
function readCard({ biz_card_no: key, success }) {
  if (typeof key !== 'string' || key === '') throw new Refused('data has no biz_card_no');
  if (typeof success !== 'boolean') throw new Refused('data does not say whether the card was opened'); // missing is unknown, not false
  return { key, opened: success };
}

/**
 * Entity and action of alipay.events.<app>.<entity>.<action>.<key>; a replay for
 * one consumer has its name before the app: alipay.replays.<name>.<app>...
 *
 * @param {string} subject
 */
function kindOf(subject) {
  const tokens = subject.split('.');
  return tokens.slice(tokens[1] === 'replays' ? 4 : 3);
}

/**
 * A CloudEvents attribute. The binding percent-encodes what is not printable
 * ASCII, and '"' and '%'. A broken escape stays as it is.
 *
 * @param {Message} message
 * @param {string} name
 */
function attribute(message, name) {
  const value = message.headers?.get(name) ?? '';
  if (!value.includes('%')) return value;
  const bytes = value.replace(/%([0-9A-Fa-f]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** @param {Uint8Array} bytes @returns {Record<string, unknown>} */
function parseData(bytes) {
  let data;
  try {
    data = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new Refused('data is not JSON in UTF-8'); // the parser's own words would quote the payload
  }
  if (data === null || typeof data !== 'object' || Array.isArray(data)) throw new Refused('data is not a JSON object');
  return data;
}
