// The example as a process against a real server.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, headers, nanos } from '@nats-io/transport-node';
import { app, event, publicPEM, replay, withHeaders } from './alipay.mjs';
import { consumer, eventually, folder, natsServer, skip } from './servers.mjs';

/** @typedef {import('@nats-io/jetstream').JetStreamManager} JetStreamManager */

/** @param {JetStreamManager} jsm */
async function addStreams(jsm) {
  await jsm.streams.add({ name: 'ALIPAY_EVENTS', subjects: ['alipay.events.>'] });
  await jsm.streams.add({ name: 'ALIPAY_REPLAYS', subjects: ['alipay.replays.>'] });
  await jsm.streams.add({ name: 'ALIPAY_DLQ', subjects: ['ALIPAY_EVENTS', 'ALIPAY_REPLAYS'].map((stream) => `$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.${stream}.>`) });
}

/** @param {JetStreamManager} jsm @param {import('./alipay.mjs').Stored} stored */
async function publish(jsm, { subject, headers: values, data }) {
  const h = headers();
  for (const [name, value] of values) h.set(name, value);
  return eventually('it is published', () => jsm.jetstream().publish(subject, data, { headers: h }).then(({ seq }) => seq, () => 0)); // the server may be away
}

/** @param {JetStreamManager} jsm @param {string} name */
const drained = (jsm, name) => eventually(`${name} has had everything`, async () => {
  try {
    const infos = await Promise.all(['ALIPAY_EVENTS', 'ALIPAY_REPLAYS'].map((stream) => jsm.consumers.info(stream, name)));
    return infos.every(({ num_pending, num_ack_pending }) => num_pending + num_ack_pending === 0);
  } catch {
    return false; // the server is restarting
  }
});

/** @param {import('node:test').TestContext} t @param {string} state */
async function dump(t, state) {
  const { said, ended } = consumer(t, 'dump', '--state', state);
  assert.equal(await ended, 0, said.err);
  return JSON.parse(said.out);
}

/** @param {string} path */
const lines = (path) => readFileSync(path, 'utf8').split('\n').length - 1;

/**
 * Some 500 events of a few activities in random order, with second notifications
 * of some business events between them.
 *
 * @param {number} seed
 */
function draw(seed) {
  const random = (/** @type {number} */ n) => (seed = (seed * 48271) % 2147483647) % n;
  const actions = ['created', 'modified', 'appended', 'stopped', 'received', 'used', 'expired'];
  const facts = [];
  const sent = [];
  for (let i = 0; i < 500; i++) {
    const fact = { id: `n${random(1e6)}-${i}`, action: actions[random(7)], key: `活动/${random(12)}`, business: `b${i}`, at: 1767225600000 + random(200) };
    facts.push(fact);
    sent.push(event(`voucher.${fact.action}`, fact.key, fact));
    if (i % 20 === 0) sent.push(event(`voucher.${fact.action}`, fact.key, { ...fact, id: `!${i}` })); // "!" is below every "n": never the later one
  }
  const shuffled = sent.map((stored) => ({ stored, at: random(1e9) })).sort((a, b) => a.at - b.at).map(({ stored }) => stored);
  return { facts, sent: shuffled };
}

/** @param {ReturnType<typeof draw>['facts']} facts */
function expected(facts) {
  /** @type {Record<string, any>} */
  const activities = {};
  const ordered = [...facts].sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
  for (const { action, key, at, id } of ordered) {
    const activity = (activities[`${app}/${key}`] ??= { counts: {}, last_id: '', last_time: '', last_type: '', status: 'active' });
    activity.counts[action] = (activity.counts[action] ?? 0) + 1;
    if (['received', 'used', 'expired'].includes(action)) continue;
    Object.assign(activity, { last_id: id, last_time: new Date(at).toISOString(), last_type: `voucher.${action}`, status: action === 'stopped' ? 'stopped' : 'active' });
  }
  return { activities, cards: {}, events: facts.length };
}

test('ends with exactly the right state, whatever is killed on the way', { skip, timeout: 180_000 }, async (t) => {
  const dir = folder(t);
  const [state, token, key] = ['state.jsonl', 'token', 'alipay.pem'].map((name) => join(dir, name));
  writeFileSync(token, 'secret-token\n');
  writeFileSync(key, publicPEM);
  const server = await natsServer(t, ['-js', '-sd', join(dir, 'nats'), '--auth', 'secret-token']);
  const nc = await connect({ servers: server.url, token: 'secret-token', maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  t.after(() => nc.close());
  const jsm = await jetstreamManager(nc);
  await addStreams(jsm);

  const args = ['run', '--nats', server.url, '--token-file', token, '--name', 'orders', '--state', state, '--alipay-key', key];
  const missing = consumer(t, ...args);
  assert.equal(await missing.ended, 1);
  assert.match(missing.said.err, /ALIPAY_EVENTS has no consumer orders.*nats consumer add ALIPAY_EVENTS orders --pull/);
  const created = consumer(t, ...args, '--create');
  await eventually('it reads', () => created.said.err.includes('"reading"'));
  assert.equal(await created.end('SIGTERM'), 0, created.said.err);
  for (const stream of ['ALIPAY_EVENTS', 'ALIPAY_REPLAYS']) {
    const { config } = await jsm.consumers.info(stream, 'orders');
    assert.deepEqual([config.ack_policy, config.deliver_policy, config.max_deliver], ['explicit', 'all', 12]);
    assert.equal(config.filter_subjects?.length ?? 0, stream === 'ALIPAY_EVENTS' ? 2 : 0);
    // What a killed consumer had in hand comes again soon: the test waits for it.
    await jsm.consumers.update(stream, 'orders', { backoff: [nanos(1000)], max_deliver: 50 });
  }

  const seed = Number(process.env.SEED ?? (Date.now() % 2147483647));
  t.diagnostic(`again with SEED=${seed}`);
  const { facts, sent } = draw(seed);
  let running = consumer(t, ...args);
  for (const [i, stored] of sent.entries()) {
    const seq = await publish(jsm, stored);
    if (i % 7 === 0) await publish(jsm, replay(stored, 'orders', seq));
    if (i % 11 === 0) await publish(jsm, withHeaders(stored, { 'Nats-Msg-Id': `replay:job:${seq}`, 'ce-replayjob': 'job' })); // to everybody
    if (i % 13 === 0) await publish(jsm, replay(event('voucher.used', 'not ours'), 'others', seq));
    if (i % 17 === 0) await publish(jsm, withHeaders(event('voucher.used', 'forged'), { 'Alipay-Raw': String(stored.headers.get('Alipay-Raw')) }));
    if ([100, 300].includes(i)) {
      await eventually('it is at work', () => lines(state) > i / 2);
      await running.end('SIGKILL');
      writeFileSync(state, '{"source":"/alipay/2021', { flag: 'a' }); // as if it had died within a write
      running = consumer(t, ...args);
    }
    if (i === 200) await server.restart();
  }
  await drained(jsm, 'orders');
  assert.equal(await running.end('SIGTERM'), 0, running.said.err);
  assert.deepEqual(await dump(t, state), expected(facts));
  assert.match(running.said.err, /"message":"terminated".*"reason":"(notify_id|msg_method)/);
  assert.doesNotMatch(running.said.err, /活动|secret/, 'no payload and no secret in the log');
});

/** A consumer in production may do nothing but read, from an account of its own: with the very files of deploy/. */
test('reads with the permissions of deploy/nats', { skip, timeout: 60_000 }, async (t) => {
  const dir = folder(t);
  const deploy = fileURLToPath(new URL('../../../deploy/nats/', import.meta.url));
  const config = readFileSync(join(deploy, 'nats.conf'), 'utf8')
    .replace(/^(listen|http): .*$/gm, '')
    .replace('/var/lib/nats', join(dir, 'nats'))
    .replace(/include "(.*?)"/g, (_, file) => readFileSync(join(deploy, file), 'utf8'));
  writeFileSync(join(dir, 'nats.conf'), config);
  const passwords = ['ALIPAY_RECEIVER', 'ALIPAY_REPLAYER', 'ALIPAY_PROVISION', 'ALIPAY_ORDERS', 'NATS_ADMIN'].map((who) => [`${who}_PASSWORD`, `of-${who.toLowerCase()}`]);
  const server = await natsServer(t, ['-c', join(dir, 'nats.conf')], Object.fromEntries(passwords));
  const login = (/** @type {string} */ user) => connect({ servers: server.url, user, pass: `of-alipay_${user}` });
  const provision = await login('provision');
  const replayer = await login('replayer');
  t.after(() => Promise.all([provision.close(), replayer.close()]));
  const jsm = await jetstreamManager(provision);
  await addStreams(jsm);

  const state = join(dir, 'state.jsonl');
  writeFileSync(join(dir, 'password'), 'of-alipay_orders');
  const args = ['run', '--nats', server.url, '--user', 'orders', '--password-file', join(dir, 'password'), '--name', 'orders', '--state', state];
  for (const [extra, reason] of /** @type {[string[], RegExp][]} */ ([
    [[], /needs --api-prefix ALIPAY\.API/],
    [['--api-prefix', 'ALIPAY.API', '--create'], /may not --create/],
    [['--api-prefix', 'ALIPAY.API'], /ALIPAY_EVENTS has no consumer orders/],
  ])) {
    const refused = consumer(t, ...args, ...extra);
    assert.equal(await refused.ended, 1);
    assert.match(refused.said.err, reason);
  }
  const durable = { durable_name: 'orders', ack_policy: /** @type {const} */ ('explicit') };
  await jsm.consumers.add('ALIPAY_EVENTS', { ...durable, filter_subject: 'alipay.events.>' }); // as deploy/README.md has it
  await jsm.consumers.add('ALIPAY_REPLAYS', { ...durable, filter_subject: 'alipay.replays.orders.>' });
  const publisher = await jetstreamManager(replayer);
  const card = event('card.open_result', '000001', { success: true, id: 'c1' });
  const seq = await publish(publisher, card);
  await publish(publisher, replay(card, 'orders', seq));
  await publish(publisher, { ...card, subject: `alipay.events.${app}.trade.status_changed.x` });
  const poison = await publish(publisher, { ...withHeaders(card, { 'Nats-Msg-Id': 'poison' }), data: Buffer.from('{') });

  const running = consumer(t, ...args, '--api-prefix', 'ALIPAY.API');
  await drained(jsm, 'orders');
  assert.equal(await running.end('SIGINT'), 0, running.said.err);
  // Its own pointer came before it said that it gives up, and so before the server's.
  const own = await publisher.streams.getMessage('ALIPAY_DLQ', { seq: 1 });
  assert.equal(own?.subject, '$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.ALIPAY_EVENTS.orders');
  assert.deepEqual(own?.json(), { stream_seq: poison, deliveries: 1, reason: 'data is not JSON in UTF-8' });
  assert.deepEqual(await dump(t, state), {
    activities: {}, cards: { [`${app}/000001`]: { last_id: 'c1', last_time: '2026-01-01T00:00:00.000Z', opened: true } }, events: 1,
  });
});

test('says what is wrong with the command line', async (t) => {
  for (const [args, reason] of /** @type {[string[], RegExp][]} */ ([
    [[], /say run or dump/], [['eat'], /say run or dump/], [['dump'], /--state is missing/], [['run', '--state', 'x'], /--nats is missing/],
    [['run', '--state', 'x', '--nats', 'nats://me:secret@x', '--name', 'a'], /holds a login/],
    [['run', '--state', 'x', '--nats', 'x', '--name', 'a.b'], /--name/], [['run', '--state', 'x', '--nats', 'x', '--name', 'a', '--user', 'u'], /go together/],
    [['run', '--state', 'x', '--nats', 'x', '--name', 'a', '--creds', 'c', '--token-file', 't'], /one login/], [['dump', '--what'], /--what/],
  ])) {
    const { said, ended } = consumer(t, ...args);
    assert.equal(await ended, 2, said.err);
    assert.match(said.err, reason);
    assert.equal(said.out, '');
  }
  const absent = consumer(t, 'dump', '--state', join(folder(t), 'nothing'));
  assert.equal(await absent.ended, 1);
  assert.match(absent.said.err, /is not there/);
});
