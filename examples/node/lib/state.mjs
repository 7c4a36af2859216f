// What this consumer knows: its business effect. Yours is your own; what is worth
// copying is that the marks ("this one was counted") and the effect change
// together, and that the result depends on which events came, never on when.

import { isLater } from './order.mjs';

/** What becomes of a voucher activity is decided by the latest of these; the other actions only count. */
const deciding = new Set(['created', 'modified', 'appended', 'stopped']);

/**
 * One notification, reduced to what it does to the state; a line of the journal.
 *
 * @typedef {object} Effect
 * @property {string} source ce-source
 * @property {string} id ce-id
 * @property {string} type ce-type
 * @property {string} [business] data.id: Alipay's id of the business event
 * @property {string} time ce-time
 * @property {string} app
 * @property {string} entity voucher or card
 * @property {string} action
 * @property {string} key the activity, or the number of the card
 * @property {boolean} [opened] cards only
 */

/** @typedef {{counts: Map<string, number>, last?: Effect}} Activity */

export class State {
  #seen = new Set(); // ce-source and ce-id: the same notification
  #business = new Set(); // ce-source, ce-type and data.id: the same business event
  #events = 0;
  /** @type {Map<string, Activity>} */ #activities = new Map();
  /** @type {Map<string, Effect>} */ #cards = new Map();

  /**
   * Changes the state, unless this very notification did so before. A replay
   * carries the ce-id of the original and therefore has no second effect. A
   * consumer whose effect is to be repeated on request tells a replay by its
   * header ce-replayjob, and marks ce-source, ce-id and ce-replayjob instead.
   *
   * The second notification of one business event is not counted. It may still be
   * the later one, and then is the last: otherwise the order of arrival decided.
   *
   * The marks are kept for ever here. In a database they are a table with a unique
   * key, written in the transaction of the effect; a mark can go when no stream
   * can deliver the event any more (30 days, and 7 after a replay).
   *
   * @param {Effect} effect
   * @returns {'applied' | 'duplicate' | 'same_business_event'}
   */
  apply(effect) {
    if (!add(this.#seen, effect.source, effect.id)) return 'duplicate';
    const counts = effect.business === undefined || add(this.#business, effect.source, effect.type, effect.business);
    if (counts) this.#events++;
    const key = `${effect.app}/${effect.key}`;
    if (effect.entity === 'card') this.#applyCard(key, effect);
    else this.#applyVoucher(key, effect, counts);
    return counts ? 'applied' : 'same_business_event';
  }

  /** @param {string} key @param {Effect} effect */
  #applyCard(key, effect) {
    const last = this.#cards.get(key);
    if (!last || isLater(effect, last)) this.#cards.set(key, effect);
  }

  /** @param {string} key @param {Effect} effect @param {boolean} counts */
  #applyVoucher(key, effect, counts) {
    /** @type {Activity} */
    const activity = this.#activities.get(key) ?? { counts: new Map() };
    this.#activities.set(key, activity);
    if (counts) activity.counts.set(effect.action, (activity.counts.get(effect.action) ?? 0) + 1);
    if (!deciding.has(effect.action)) return;
    if (!activity.last || isLater(effect, activity.last)) activity.last = effect;
  }

  /** The state as JSON, the same for the same events. */
  toJSON() {
    return {
      activities: sorted(this.#activities, ({ counts, last }) => ({
        counts: sorted(counts, (n) => n),
        last_id: last?.id ?? '',
        last_time: last?.time ?? '',
        last_type: last ? `voucher.${last.action}` : '',
        status: last?.action === 'stopped' ? 'stopped' : 'active',
      })),
      cards: sorted(this.#cards, ({ id, time, opened }) => ({ last_id: id, last_time: time, opened })),
      events: this.#events,
    };
  }
}

/** Adds a mark; false when it was there. @param {Set<string>} set @param {string[]} parts */
function add(set, ...parts) {
  const mark = JSON.stringify(parts); // no two lists of parts read the same
  return !set.has(mark) && Boolean(set.add(mark));
}

/**
 * @template T, U
 * @param {Map<string, T>} map
 * @param {(value: T) => U} show
 * @returns {Record<string, U>}
 */
function sorted(map, show) {
  return Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => [key, show(value)]));
}
