import assert from 'node:assert/strict';
import test from 'node:test';
import { readEvent } from '../lib/event.mjs';
import { Refused } from '../lib/refused.mjs';
import { app, event, replay, withHeaders } from './alipay.mjs';

/** @param {import('./alipay.mjs').Stored} stored @param {RegExp} reason */
const refused = (stored, reason) => assert.throws(
  () => readEvent(message(stored)),
  (err) => err instanceof Refused && reason.test(err.message),
);

/** @param {import('./alipay.mjs').Stored} stored */
const message = ({ headers, ...rest }) => ({ ...rest, headers: { get: (/** @type {string} */ name) => headers.get(name) ?? '' } });

test('reads every kind, from both streams', () => {
  for (const action of ['created', 'modified', 'appended', 'stopped', 'received', 'used', 'expired']) {
    const stored = event(`voucher.${action}`, 'act/1', { id: 'n1', business: 'b1', at: 1767225600123 });
    const want = {
      source: `/alipay/${app}`, id: 'n1', type: `alipay.marketing.activity.message.${action}`, business: 'b1',
      time: '2026-01-01T00:00:00.123Z', app, entity: 'voucher', action, key: 'act/1',
    };
    assert.deepEqual(readEvent(message(stored)), want);
    assert.deepEqual(readEvent(message(replay(stored, 'orders', 7))), want, 'a replay is the same notification');
  }
  for (const opened of [true, false]) {
    const { entity, action, key, opened: got, business } = /** @type {any} */ (readEvent(message(event('card.open_result', '000001', { success: opened }))));
    assert.deepEqual([entity, action, key, got, business], ['card', 'open_result', '000001', opened, undefined]);
  }
});

test('passes over what it did not ask for', () => {
  const stored = event('voucher.created', 'a');
  for (const subject of ['alipay.replays.orders.1.trade.status_changed.x', 'alipay.events.1.other.foo._', 'alipay.events.1', 'x', '']) {
    assert.equal(readEvent({ ...stored, headers: undefined, subject }), undefined, subject);
  }
});

/** What internal/events/header.go writes: %XX of the UTF-8 bytes of what is not 0x21-0x7E, and of '"' and '%'. */
test('decodes the attributes, once', () => {
  const stored = withHeaders(event('voucher.created', 'a'), { 'ce-id': '%E5%88%B8%201%22%25%32%35' });
  assert.equal(readEvent(message(stored))?.id, '券 1"%25');
  for (const broken of ['100%', '%', '%4', '%G1', 'a%zz']) {
    assert.equal(readEvent(message(withHeaders(stored, { 'ce-id': broken })))?.id, broken);
  }
});

test('refuses what it can never read, and quotes nothing of it', () => {
  const good = event('voucher.created', 'a');
  refused(withHeaders(good, { 'ce-specversion': '0.3' }), /CloudEvent/);
  refused(withHeaders(good, { 'ce-id': '' }), /ce-id/);
  refused(withHeaders(good, { 'ce-time': '' }), /ce-time/);
  refused(withHeaders(good, { 'ce-time': '2026-02-30T00:00:00Z' }), /ce-time/);
  refused(withHeaders(good, { 'ce-type': '' }), /ce-type/);
  refused(withHeaders(good, { 'ce-type': 'alipay.marketing.activity.message.stopped' }), /not that of the subject/);
  refused({ ...good, subject: `alipay.events.${app}.voucher.paused.a` }, /no kind/);
  for (const source of ['', '/alipay/', `/alipay/${app}/inferred`, `x/alipay/${app}`]) {
    refused(withHeaders(good, { 'ce-source': source }), /ce-source/);
  }
  assert.throws(() => readEvent({ ...good, headers: undefined }), Refused);

  const secret = '2088102165945162';
  for (const [text, reason] of /** @type {[string | Buffer, RegExp][]} */ ([
    ['', /not JSON/], [`{"user_id":"${secret}"`, /not JSON/], [`"${secret}"`, /not a JSON object/], ['[]', /not a JSON object/], ['null', /not a JSON object/],
    [Buffer.from('{"activity_id":"\xff"}', 'latin1'), /not JSON in UTF-8/],
    [`{"user_id":"${secret}"}`, /activity_id/], ['{"activity_id":""}', /activity_id/], ['{"activity_id":1}', /activity_id/],
    ['{"activity_id":"a","id":1}', /data\.id/],
  ])) {
    refused({ ...good, data: Buffer.from(text) }, reason);
    refused({ ...good, data: Buffer.from(text) }, new RegExp(`^(?!.*${secret})`));
  }
});

/** A card whose result was unreadable once counted as not opened. */
test('an unknown result of a card is no result', () => {
  const card = event('card.open_result', '000001', { success: true });
  refused({ ...card, data: Buffer.from('{"biz_card_no":"000001","_unparsed":{"success":"maybe"}}') }, /whether the card was opened/);
  refused({ ...card, data: Buffer.from('{"biz_card_no":"000001","success":"true"}') }, /whether the card was opened/);
  refused({ ...card, data: Buffer.from('{"success":true}') }, /biz_card_no/);
});
