// The connection, and the two durable consumers that are read.
// @nats-io 3.3 on purpose: 3.4 needs a package that asks for Node 22 (2026-11).

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { AckPolicy, DeliverPolicy, JetStreamApiCodes, JetStreamApiError, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, credsAuthenticator, errors, nanos, tokenAuthenticator, usernamePasswordAuthenticator } from '@nats-io/transport-node';
import { log } from './log.mjs';

/** @typedef {import('@nats-io/transport-node').NatsConnection} NatsConnection */

/**
 * @typedef {object} Options
 * @property {string} url
 * @property {string} name
 * @property {string} [tokenFile]
 * @property {string} [user]
 * @property {string} [passwordFile]
 * @property {string} [creds] a file
 * @property {string} [ca] a file
 * @property {string} [apiPrefix]
 * @property {boolean} [create]
 */

/**
 * Seconds until a message that was not acknowledged comes again: the first time,
 * the second, and so on; the last holds for the rest. We wait as long after what
 * may be better later. With maxDeliver that covers some ten hours; then the server
 * gives the message up, and the operators find it in ALIPAY_DLQ.
 */
export const backoff = [30, 60, 120, 300, 900, 1800, 3600, 7200];
const maxDeliver = 12;
const maxAckPending = 1000; // delivered and not acknowledged

/**
 * Connects, however long it takes, and stays connected for ever after.
 *
 * @param {Options} options
 * @param {AbortSignal} stop ends the attempts
 * @returns {Promise<NatsConnection>}
 */
export async function connectForEver(options, stop) {
  const { tokenFile, passwordFile, creds, ca } = options;
  for (const file of [tokenFile, passwordFile, creds, ca]) if (file) readFileSync(file); // a wrong name is said at once
  for (;;) {
    try {
      const nc = await connect({
        servers: options.url.split(','),
        name: `alipay-notify consumer ${options.name}`,
        authenticator: authenticator(options),
        tls: tls(options),
        maxReconnectAttempts: -1,
        ignoreAuthErrorAbort: true, // a server that is being reconfigured refuses for a while
      });
      logStatus(nc);
      return nc;
    } catch (err) {
      if (err instanceof errors.AuthorizationError) throw new Error('the server refuses the login: check --token-file, --user, --creds');
      log('warn', 'cannot connect, trying again', { reason: String(err) });
      await sleep(2000, undefined, { signal: stop });
    }
  }
}

/** Secrets are read at every connect, so that they can change. @param {Options} o */
function authenticator({ tokenFile, user, passwordFile, creds }) {
  const secret = (/** @type {string} */ file) => () => readFileSync(file, 'utf8').trim();
  if (tokenFile) return tokenAuthenticator(secret(tokenFile));
  if (user && passwordFile) return usernamePasswordAuthenticator(user, secret(passwordFile));
  if (creds) return credsAuthenticator(() => readFileSync(creds));
  return undefined;
}

/** This client ignores the scheme of a URL: without these options tls:// could end up without TLS. @param {Options} o */
function tls({ url, ca }) {
  if (ca) return { ca: readFileSync(ca, 'utf8') };
  return url.includes('tls://') ? {} : undefined;
}

/** @param {NatsConnection} nc */
async function logStatus(nc) {
  log('info', 'connected', { server: nc.getServer() });
  for await (const status of nc.status()) {
    if (status.type === 'error') log('warn', 'the server says', { reason: status.error.message });
    else if (status.type === 'disconnect' || status.type === 'reconnect') log('warn', `${status.type}ed`, { server: status.server });
  }
}

/**
 * The two sources of events: what Alipay says, and what an operator sends again to
 * this consumer alone.
 *
 * @param {string} name
 */
const sources = (name) => [
  { stream: 'ALIPAY_EVENTS', filters: ['alipay.events.*.voucher.>', 'alipay.events.*.card.>'] },
  { stream: 'ALIPAY_REPLAYS', filters: [`alipay.replays.${name}.>`] },
];

/**
 * Finds both durable consumers, or makes them.
 *
 * @param {NatsConnection} nc
 * @param {Options} options
 * @param {AbortSignal} stop
 */
export async function bind(nc, options, stop) {
  const consumers = [];
  for (const source of sources(options.name)) consumers.push(await bindOne(nc, options, source, stop));
  return consumers;
}

/**
 * @param {NatsConnection} nc
 * @param {Options} options
 * @param {{stream: string, filters: string[]}} source
 * @param {AbortSignal} stop
 */
async function bindOne(nc, { name, create, apiPrefix = '$JS.API' }, { stream, filters }, stop) {
  for (;;) {
    try {
      if (create) await createOrUpdate(nc, stream, name, filters, apiPrefix);
      const consumer = await jetstream(nc, { apiPrefix }).consumers.get(stream, name);
      const { config } = await consumer.info(true);
      if (config.ack_policy !== AckPolicy.Explicit) throw new Error('it does not want explicit acks');
      return consumer;
    } catch (err) {
      if (!mayPass(err)) throw new Error(explain(err, stream, name, filters), { cause: err });
      log('warn', 'cannot use the consumer yet, trying again', { stream, reason: String(err) });
      await sleep(2000, undefined, { signal: stop });
    }
  }
}

/**
 * Gives the function that leaves a pointer on ALIPAY_DLQ to a message that is given
 * up, and waits until it is stored. The server points to what was terminated as well,
 * but once and to whoever listens at that moment.
 *
 * @param {NatsConnection} nc
 * @param {Options} options
 */
export function pointerTo(nc, { apiPrefix }) {
  // In an account of its own deploy/nats maps ALIPAY.DLQ, beside ALIPAY.API, to the server's.
  const root = apiPrefix ? `${apiPrefix.replace(/\.API$/, '')}.DLQ` : '$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED';
  const js = jetstream(nc);
  return async (/** @type {import('@nats-io/jetstream').JsMsg} */ { info }, /** @type {string} */ reason) => {
    const { stream, consumer, streamSequence, deliveryCount } = info;
    const body = JSON.stringify({ stream_seq: streamSequence, deliveries: deliveryCount, reason });
    // The id lets the server know it again when its answer was lost.
    const msgID = [stream, consumer, streamSequence, deliveryCount].join(':');
    await js.publish(`${root}.${stream}.${consumer}`, body, { msgID, timeout: 5000, expect: { streamName: 'ALIPAY_DLQ' } });
  };
}

/**
 * Whether waiting may cure it: no answer, or JetStream is still starting.
 *
 * @param {unknown} err
 */
function mayPass(err) {
  const permission = causes(err).some((e) => e instanceof errors.PermissionViolationError);
  const silence = causes(err).some((e) => e instanceof errors.TimeoutError || e instanceof errors.RequestError);
  return err instanceof JetStreamApiError ? err.status >= 500 : silence && !permission;
}

/**
 * Says what is wrong with a consumer, and what to do.
 *
 * @param {unknown} err
 * @param {string} stream
 * @param {string} name
 * @param {string[]} filters
 */
function explain(err, stream, name, filters) {
  if (hasCode(err, JetStreamApiCodes.StreamNotFound)) return `the stream ${stream} is missing: an operator runs "receiver provision"`;
  if (hasCode(err, JetStreamApiCodes.ConsumerNotFound)) {
    return `${stream} has no consumer ${name}. An operator makes it: nats consumer add ${stream} ${name} --pull --ack explicit ` +
      `--deliver all --wait ${backoff[0]}s --max-deliver ${maxDeliver} --max-pending ${maxAckPending} ` +
      `${filters.map((f) => `--filter '${f}'`).join(' ')} --defaults  (or, where you may: --create)`;
  }
  if (causes(err).some((e) => e instanceof errors.PermissionViolationError)) {
    return `this login may not use the consumer ${name} of ${stream}: an account of its own needs --api-prefix ALIPAY.API and may not --create`;
  }
  return `the consumer ${name} of ${stream}: ${err instanceof Error ? err.message : err}`;
}

/** @param {unknown} err @param {number} code */
const hasCode = (err, code) => err instanceof JetStreamApiError && err.code === code;

/** An error and what caused it. @param {unknown} err @returns {unknown[]} */
const causes = (err) => (err instanceof Error ? [err, ...causes(err.cause)] : []);

/** @param {NatsConnection} nc @param {string} stream @param {string} name @param {string[]} filters @param {string} apiPrefix */
async function createOrUpdate(nc, stream, name, filters, apiPrefix) {
  const { consumers } = await jetstreamManager(nc, { apiPrefix, checkAPI: false });
  const config = {
    ...(filters.length === 1 ? { filter_subject: filters[0], filter_subjects: undefined } : { filter_subject: undefined, filter_subjects: filters }),
    max_deliver: maxDeliver,
    backoff: backoff.map((seconds) => nanos(seconds * 1000)),
    max_ack_pending: maxAckPending,
  };
  try {
    await consumers.update(stream, name, config);
  } catch (err) {
    if (!hasCode(err, JetStreamApiCodes.ConsumerNotFound)) throw err;
    await consumers.add(stream, { durable_name: name, ack_policy: AckPolicy.Explicit, deliver_policy: DeliverPolicy.All, ...config });
  }
  log('info', 'consumer created or updated', { stream });
}
