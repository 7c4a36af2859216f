// The memory of the consumer that survives it: a file to which one JSON line is
// appended for each event that had an effect. A line is the mark and the effect
// at once, so that there is never one without the other. In your service this is
// one database transaction.
//
// If we die
//   before the line is written      nothing happened; the event comes again
//   while it is being written       a torn last line: it is cut off at the start, and the event comes again
//   before fsync has returned       the line is there, or (power failure) it is not; either way the event was
//                                   not acknowledged and comes again, and the line tells whether it is new
//   before the acknowledgement      the event comes again, is known, has no effect, and is acknowledged
//   after it                        all is done
//
// One process per file. The file has card numbers in it: it is made readable for
// its owner alone.

import { open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** @typedef {import('./state.mjs').Effect} Effect */

/**
 * Gives every effect of a journal in order.
 *
 * @param {string} path
 * @param {(effect: Effect) => void} each
 * @returns {Promise<{whole: number, torn: number}>} bytes of whole lines, and of the torn one behind them
 */
export async function readJournal(path, each) {
  const bytes = await readFile(path);
  const whole = bytes.lastIndexOf(0x0a) + 1;
  let start = 0;
  for (let line = 1; start < whole; line++) {
    const end = bytes.indexOf(0x0a, start);
    each(parse(bytes.toString('utf8', start, end), `${path}: line ${line}`));
    start = end + 1;
  }
  return { whole, torn: bytes.length - whole };
}

/** @param {string} text @param {string} where @returns {Effect} */
function parse(text, where) {
  try {
    const effect = JSON.parse(text);
    if (typeof effect.id === 'string' && typeof effect.key === 'string') return effect;
  } catch {
    // said below
  }
  // Dropping it would forget events that were acknowledged.
  throw new Error(`${where} is damaged, and is not the last: restore the file, or begin a new one with new consumers`);
}

export class Journal {
  /** @type {import('node:fs/promises').FileHandle} */ #file;
  #batch = ''; // lines that the next write takes
  #written = Promise.resolve(); // settles when all lines up to now are durable

  /** @param {import('node:fs/promises').FileHandle} file */
  constructor(file) {
    this.#file = file;
  }

  /**
   * Opens a journal, or makes one, and gives what it holds to each.
   *
   * @param {string} path
   * @param {(effect: Effect) => void} each
   * @returns {Promise<{journal: Journal, torn: number}>} torn: bytes cut off its end
   */
  static async open(path, each) {
    const file = await open(path, 'a', 0o600);
    try {
      const { whole, torn } = await readJournal(path, each);
      if (torn > 0) await file.truncate(whole);
      await file.sync();
      await syncFolder(dirname(path));
      return { journal: new Journal(file), torn };
    } catch (err) {
      await file.close();
      throw err;
    }
  }

  /**
   * Adds an effect. Lines that are added while an earlier write is under way share
   * the next write and its fsync. After one failure every promise is rejected: the
   * file may end in a torn line, and the process must start again.
   *
   * @param {Effect} effect
   * @returns {Promise<void>} resolved when it is durable
   */
  append(effect) {
    if (this.#batch === '') this.#written = this.#written.then(() => this.#write());
    this.#batch += `${JSON.stringify(effect)}\n`;
    return this.#written;
  }

  /** Resolved when everything added so far is durable. @returns {Promise<void>} */
  durable() {
    return this.#written;
  }

  async #write() {
    const lines = this.#batch;
    this.#batch = '';
    await this.#file.appendFile(lines);
    await this.#file.datasync();
  }

  close() {
    return this.#file.close();
  }
}

/** A new file is only there after a power failure when its folder was synced, too. @param {string} path */
async function syncFolder(path) {
  if (process.platform === 'win32') return; // a folder cannot be opened there
  const folder = await open(path);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
