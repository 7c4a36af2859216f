// The loop: read, remember durably, acknowledge. Never in another order.

import { readEvent } from './event.mjs';
import { log } from './log.mjs';
import { backoff } from './nats.mjs';
import { Refused } from './refused.mjs';

/** @typedef {import('@nats-io/jetstream').JsMsg} JsMsg */

/**
 * @typedef {object} Memory
 * @property {import('./state.mjs').State} state
 * @property {Pick<import('./journal.mjs').Journal, 'append' | 'durable'>} journal
 * @property {(message: JsMsg, reason: string) => Promise<void>} point leaves a pointer on ALIPAY_DLQ
 * @property {Map<string, import('node:crypto').KeyObject>} [keys] of Alipay, to check the requests with
 */

/**
 * Handles messages until stop, and returns when all that are in hand are
 * acknowledged. It fails when the journal does: what is in memory is then ahead
 * of the file, and the process must end.
 *
 * @param {import('@nats-io/jetstream').Consumer} consumer
 * @param {Memory} memory
 * @param {AbortSignal} stop
 */
export async function consume(consumer, memory, stop) {
  // A pull may not wait longer than two minutes where consumers have accounts of their own.
  const messages = await consumer.consume({ max_messages: 200, expires: 5000 });
  const pullNoMore = () => messages.stop();
  stop.addEventListener('abort', pullNoMore);
  if (stop.aborted) pullNoMore();
  logStatus(messages);

  // Messages are handled without waiting for the fsync of the one before, so that
  // many can share it. The server bounds how many (max_ack_pending).
  const inHand = new Set();
  /** @type {unknown} */
  let failure;
  for await (const message of messages) {
    const handled = handle(message, memory)
      .catch((err) => {
        failure ??= err;
        pullNoMore();
      })
      .finally(() => inHand.delete(handled));
    inHand.add(handled);
  }
  await Promise.all(inHand);
  stop.removeEventListener('abort', pullNoMore);
  if (failure) throw failure;
}

/** @param {JsMsg} message @param {Memory} memory */
export async function handle(message, { state, journal, point, keys }) {
  const { stream, streamSequence: seq, deliveryCount } = message.info;
  const about = { stream, seq, delivery: deliveryCount };
  const putOff = (/** @type {string} */ what, /** @type {unknown} */ err) => {
    const seconds = backoff[Math.min(deliveryCount, backoff.length) - 1];
    message.nak(seconds * 1000);
    log('error', `${what}, comes again`, { ...about, seconds, reason: String(err) });
  };
  let effect;
  try {
    effect = readEvent(message, keys);
  } catch (err) {
    if (!(err instanceof Refused)) return putOff('failed', err);
    // By the pointer operators find it, and may have it delivered again. What nothing
    // points to must not be terminated.
    try {
      await point(message, err.message);
    } catch (lost) {
      return putOff('cannot point to it on ALIPAY_DLQ', lost);
    }
    message.term(err.message);
    log('error', 'terminated', { ...about, reason: err.message });
    return;
  }
  if (!effect) {
    message.ack();
    log('info', 'skipped', about);
    return;
  }
  const result = state.apply(effect);
  // A duplicate may be one whose first delivery is not on the disk yet.
  await (result === 'duplicate' ? journal.durable() : journal.append(effect));
  message.ack();
  log('info', result, { ...about, kind: `${effect.entity}.${effect.action}`, id: effect.id });
}

/** @param {import('@nats-io/jetstream').ConsumerMessages} messages */
async function logStatus(messages) {
  const quiet = new Set(['debug', 'next', 'heartbeat', 'discard', 'close']);
  for await (const { type } of messages.status()) {
    if (!quiet.has(type)) log('warn', 'pulling', { status: type }); // goes on by itself
  }
}
