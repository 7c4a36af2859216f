import assert from 'node:assert/strict';
import test from 'node:test';
import { State } from '../lib/state.mjs';

/** @param {string} kind @param {string} id @param {string} time @param {object} [more] @returns {import('../lib/state.mjs').Effect} */
function effect(kind, id, time, more = {}) {
  const [entity, action] = kind.split('.');
  return { source: '/alipay/1', id, type: `t.${action}`, time, app: '1', entity, action, key: 'a', ...more };
}

/** @param {import('../lib/state.mjs').Effect[]} effects */
function stateOf(effects) {
  const state = new State();
  for (const e of effects) state.apply(e);
  return JSON.parse(JSON.stringify(state));
}

const at = '2026-01-01T10:00:00Z';

test('each notification, and each business event, counts once', () => {
  const state = new State();
  const first = effect('voucher.used', '1', at, { business: 'b' });
  assert.equal(state.apply(first), 'applied');
  assert.equal(state.apply({ ...first }), 'duplicate');
  assert.equal(state.apply({ ...first, id: '2' }), 'same_business_event');
  assert.equal(state.apply({ ...first, id: '2' }), 'duplicate');
  assert.equal(state.apply({ ...first, id: '3', type: 't.other' }), 'applied', 'another type is another event');
  assert.equal(state.apply({ ...first, source: '/alipay/2', app: '2' }), 'applied', 'another app is another event');
  assert.equal(state.apply(effect('voucher.used', '4', at)), 'applied', 'without a business id each notification counts');
  assert.equal(state.apply(effect('voucher.used', '5', at)), 'applied');
  assert.deepEqual(JSON.parse(JSON.stringify(state)), {
    events: 5,
    cards: {},
    activities: {
      '1/a': { counts: { used: 4 }, last_id: '', last_time: '', last_type: '', status: 'active' },
      '2/a': { counts: { used: 1 }, last_id: '', last_time: '', last_type: '', status: 'active' },
    },
  });
});

test('parts of marks cannot run into each other', () => {
  const state = new State();
  assert.equal(state.apply(effect('voucher.used', 'x', at, { source: '/alipay/1', type: 'a b', business: 'c' })), 'applied');
  assert.equal(state.apply(effect('voucher.used', 'y', at, { source: '/alipay/1', type: 'a', business: 'b c' })), 'applied');
});

/**
 * The order of arrival once decided: the second notification of one business event
 * was dropped whole, so that last_id was that of whichever came first.
 */
test('the state depends on which events came, and on no order', () => {
  const effects = [
    effect('voucher.created', 'c', at, { business: 'b1' }),
    effect('voucher.modified', 'm', '2026-01-01T10:00:00.5Z', { business: 'b2' }),
    effect('voucher.appended', 's0', '2026-01-01T10:00:00.75Z', { business: 'b4' }),
    effect('voucher.stopped', 's1', '2026-01-01T18:00:00.750+08:00', { business: 'b3' }),
    effect('voucher.stopped', 's2', '2026-01-01T10:00:00.75Z', { business: 'b3' }),
    effect('voucher.used', 'u', '2027-01-01T10:00:00Z', { business: 'b5' }),
    effect('card.open_result', 'k1', at, { opened: true }),
    effect('card.open_result', 'k2', '2026-01-01T09:59:59.9999Z', { opened: false }),
  ];
  const want = {
    events: 7,
    activities: {
      '1/a': {
        counts: { appended: 1, created: 1, modified: 1, stopped: 1, used: 1 },
        last_id: 's2', last_time: '2026-01-01T10:00:00.75Z', last_type: 'voucher.stopped', status: 'stopped',
      },
    },
    cards: { '1/a': { last_id: 'k1', last_time: at, opened: true } },
  };
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  for (let round = 0; round < 200; round++) {
    const shuffled = [...effects, ...effects].map((e) => ({ e, r: random() })).sort((a, b) => a.r - b.r).map(({ e }) => e);
    assert.deepEqual(stateOf(shuffled), want);
  }
});

test('a stopped activity is active again when something later says so', () => {
  const { activities } = stateOf([effect('voucher.stopped', '1', at), effect('voucher.modified', '2', '2026-01-02T00:00:00Z')]);
  assert.equal(activities['1/a'].status, 'active');
});

test('the JSON has its keys sorted', () => {
  const state = new State();
  for (const key of ['b', '10', '9', '__proto__', 'a']) state.apply(effect('voucher.used', key, at, { key }));
  state.apply(effect('voucher.created', 'c', at, { key: 'a' }));
  const text = JSON.stringify(state);
  assert.equal(text, JSON.stringify(sortKeys(JSON.parse(text))));
  assert.match(text, /^\{"activities":\{"1\/10":.*"1\/9":.*"1\/__proto__":.*"1\/a":\{"counts":\{"created":1,"used":1\},"last_id"/);
});

/** @param {any} value @returns {any} */
function sortKeys(value) {
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sortKeys(value[key])]));
}
