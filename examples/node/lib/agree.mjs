// Compares an event with the request that shall prove it. A genuine request beside
// other data would prove nothing: whatever this consumer acts on has to be in it.

import { instant } from './order.mjs';
import { Refused } from './refused.mjs';

/** Signed values are not escaped: one that holds & or = may be two fields under the same signature. */
const envelope = ['app_id', 'notify_id', 'msg_method', 'utc_timestamp', 'charset', 'encrypt_type'];

/**
 * @param {import('./state.mjs').Effect} effect what the event says
 * @param {Record<string, unknown>} data
 * @param {Map<string, string>} form the request (raw.mjs)
 * @throws {Refused} when they differ
 */
export function agree(effect, data, form) {
  const field = (/** @type {string} */ name) => form.get(name) ?? '';
  if (envelope.some((name) => /[&=]/.test(field(name)))) throw new Refused('a field of Alipay-Raw is two in one');
  if (field('app_id') !== effect.app) throw new Refused('app_id of Alipay-Raw is not the app of ce-source');
  if (field('msg_method') !== effect.type) throw new Refused('msg_method of Alipay-Raw is not ce-type');
  // A notify_id that came before with other content is stored as <id>~<8 hex digits>.
  const [id, rest] = [field('notify_id'), effect.id.slice(field('notify_id').length)];
  if (id === '' || id + rest !== effect.id || !/^(~[0-9a-f]{8})?$/.test(rest)) {
    throw new Refused('notify_id of Alipay-Raw is not ce-id');
  }

  const content = readContent(field);
  if (!content) return;
  for (const name of ['id', 'activity_id', 'biz_card_no', 'success']) {
    if (!same(name, content[name], stored(data, name))) throw new Refused(`${name} is not the same in data and in Alipay-Raw`);
  }
  const times = [field('utc_timestamp'), content.event_time].map(epoch);
  if (!times.includes(instant(effect.time))) throw new Refused('ce-time is neither event_time nor utc_timestamp of Alipay-Raw');
}

/**
 * biz_content; undefined where it cannot be read here and data rests on the
 * receiver's word: it is encrypted, and the AES key is not for consumers.
 *
 * @param {(name: string) => string} field
 * @returns {Record<string, unknown> | undefined}
 */
function readContent(field) {
  if (field('encrypt_type') !== '') return undefined;
  try {
    const charset = /^(gbk|gb2312|cp936|gb18030)$/i.test(field('charset')) ? 'gb18030' : 'utf-8';
    const content = JSON.parse(new TextDecoder(charset, { fatal: true }).decode(Buffer.from(field('biz_content'), 'latin1')));
    if (content !== null && typeof content === 'object' && !Array.isArray(content)) return content;
  } catch {
    // said below
  }
  throw new Refused('biz_content of Alipay-Raw is not one JSON object');
}

/** A field of data; what did not convert is under _unparsed. @param {Record<string, any>} data @param {string} name */
const stored = (data, name) => data[name] ?? data._unparsed?.[name] ?? '';

/**
 * Alipay writes ids and booleans now as what they are and now as strings.
 *
 * @param {string} name
 * @param {unknown} said
 * @param {unknown} typed
 */
function same(name, said, typed) {
  if (typeof said === 'number') return said === Number(typed); // both are rounded here
  if (name === 'success') return String(said ?? '').toLowerCase() === String(typed).toLowerCase();
  return String(said ?? '') === String(typed);
}

/** 10 digits are seconds, 13 are milliseconds; anything else means nothing. @param {unknown} digits */
function epoch(digits) {
  const text = String(digits);
  if (!/^(\d{10}|\d{13})$/.test(text)) return 'no time';
  return instant(new Date(Number(text) * (text.length === 10 ? 1000 : 1)).toISOString());
}
