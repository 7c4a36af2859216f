import assert from 'node:assert/strict';
import test from 'node:test';
import { consume, handle } from '../lib/consume.mjs';
import { readKey } from '../lib/raw.mjs';
import { State } from '../lib/state.mjs';
import { event, publicPEM, withHeaders } from './alipay.mjs';

/** A message that writes down what becomes of it. @param {import('./alipay.mjs').Stored} stored @param {number} [delivery] @returns {any} */
function message(stored, delivery = 1) {
  /** @type {unknown[]} */
  const fate = [];
  return {
    fate,
    subject: stored.subject,
    data: stored.data,
    headers: { get: (/** @type {string} */ name) => stored.headers.get(name) ?? '' },
    info: { stream: 'ALIPAY_EVENTS', streamSequence: 1, deliveryCount: delivery },
    ack: () => fate.push('ack'),
    nak: (/** @type {number} */ ms) => fate.push('nak', ms),
    term: (/** @type {string} */ reason) => fate.push('term', reason),
  };
}

/** A disk that is as fast as the test wants. */
function slowJournal() {
  /** @type {() => void} */
  let sync = () => {};
  const written = new Promise((resolve) => (sync = () => resolve(undefined)));
  /** @type {unknown[]} */
  const lines = [];
  return { lines, sync, append: (/** @type {unknown} */ line) => (lines.push(line), written), durable: () => written };
}

/** Leaves a pointer in the fate of its message. @param {any} message */
const point = async (message) => void message.fate.push('point');

const soon = () => new Promise(setImmediate);

test('nothing is acknowledged before it is durable, not even a duplicate of it', async () => {
  const journal = slowJournal();
  const memory = /** @type {any} */ ({ state: new State(), journal });
  const stored = event('voucher.created', 'a');
  const [first, again] = [message(stored), message(stored, 2)];
  const handled = [handle(first, memory), handle(again, memory)];
  await soon();
  assert.deepEqual([first.fate, again.fate], [[], []]);
  assert.equal(journal.lines.length, 1, 'one line for both');
  journal.sync();
  await Promise.all(handled);
  assert.deepEqual([first.fate, again.fate], [['ack'], ['ack']]);
});

test('what can never be read is terminated with the reason, what is not ours acknowledged', async () => {
  const memory = /** @type {any} */ ({ state: new State(), journal: slowJournal(), point, keys: new Map([readKey(publicPEM)]) });
  const good = event('voucher.created', 'a');
  const broken = message({ ...good, data: Buffer.from('{') });
  await handle(broken, memory);
  assert.deepEqual(broken.fate, ['point', 'term', 'data is not JSON in UTF-8']);
  const forged = message(withHeaders(good, { 'Alipay-Raw': /** @type {string} */ (good.headers.get('Alipay-Raw')).replace('1.1', '1.0') }));
  await handle(forged, memory);
  assert.deepEqual(forged.fate, ['point', 'term', 'the signature of Alipay-Raw is wrong']);
  const other = message({ ...good, subject: 'alipay.replays.orders.1.trade.status_changed.x' });
  await handle(other, memory);
  assert.deepEqual(other.fate, ['ack']);
  assert.equal(memory.journal.lines.length, 0);
  assert.equal(memory.state.toJSON().events, 0);
});

test('what nothing points to is not terminated, and comes again', async () => {
  const point = async () => {
    throw new Error('no responders');
  };
  const memory = /** @type {any} */ ({ state: new State(), journal: slowJournal(), point });
  const broken = message({ ...event('voucher.created', 'a'), data: Buffer.from('{') }, 2);
  await handle(broken, memory);
  assert.deepEqual(broken.fate, ['nak', 60_000]);
});

test('what may be better later comes again, later each time', async () => {
  const memory = /** @type {any} */ ({ state: new State(), journal: slowJournal() });
  for (const [delivery, seconds] of [[1, 30], [2, 60], [8, 7200], [11, 7200]]) {
    const failing = message(event('voucher.created', 'a'), delivery);
    Object.defineProperty(failing, 'data', { get: () => { throw new Error('not now'); } });
    await handle(failing, memory);
    assert.deepEqual(failing.fate, ['nak', seconds * 1000]);
  }
});

/** A consumer that delivers what it is given, and then nothing until it is stopped. @param {any[]} messages @returns {any} */
function consumer(messages) {
  const stopped = new AbortController();
  return {
    consume: async () => ({
      stop: () => stopped.abort(),
      status: async function* () {},
      async *[Symbol.asyncIterator]() {
        yield* messages;
        if (!stopped.signal.aborted) await new Promise((resolve) => stopped.signal.addEventListener('abort', resolve));
      },
    }),
  };
}

test('stops when what is in hand is acknowledged', async () => {
  const journal = slowJournal();
  const stop = new AbortController();
  const messages = [1, 2, 3].map(() => message(event('voucher.used', 'a')));
  let done = false;
  const loop = consume(consumer(messages), /** @type {any} */ ({ state: new State(), journal }), stop.signal).then(() => (done = true));
  await soon();
  stop.abort();
  await soon();
  assert.equal(done, false);
  journal.sync();
  await loop;
  assert.deepEqual(messages.map(({ fate }) => fate), [['ack'], ['ack'], ['ack']]);
});

test('a journal that fails ends it, with nothing acknowledged', async () => {
  const fail = async () => {
    throw new Error('no space left on device');
  };
  const first = message(event('voucher.used', 'a'));
  const memory = /** @type {any} */ ({ state: new State(), journal: { append: fail, durable: fail } });
  await assert.rejects(consume(consumer([first]), memory, new AbortController().signal), /no space/);
  assert.deepEqual(first.fate, []);
});
