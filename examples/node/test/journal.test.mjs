import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { Journal, readJournal } from '../lib/journal.mjs';

/** @typedef {import('../lib/state.mjs').Effect} Effect */

/** @param {import('node:test').TestContext} t */
function file(t) {
  const folder = mkdtempSync(join(tmpdir(), 'consumer-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, 'state.jsonl');
}

/** @param {string} id @returns {Effect} */
const effect = (id) => ({ source: '/alipay/1', id, type: 't', time: '2026-01-01T00:00:00Z', app: '1', entity: 'voucher', action: 'used', key: '券\n"1"' });

/** @param {string} path */
async function open(path) {
  /** @type {string[]} */
  const ids = [];
  const { journal, torn } = await Journal.open(path, (e) => ids.push(e.id));
  return { journal, torn, ids };
}

test('what was appended is there again, in order', async (t) => {
  const path = file(t);
  const first = await open(path);
  assert.deepEqual(first.ids, []);
  await first.journal.append(effect('1'));
  assert.equal(readFileSync(path, 'utf8').split('\n').length, 2, 'on the disk before the promise is resolved');
  await Promise.all(['2', '3', '4'].map((id) => first.journal.append(effect(id))));
  await first.journal.close();
  assert.equal(statSync(path).mode & 0o077, 0, 'nobody else reads it');

  const second = await open(path);
  assert.deepEqual(second.ids, ['1', '2', '3', '4']);
  await second.journal.close();
  /** @type {Effect[]} */
  const read = [];
  await readJournal(path, (e) => read.push(e));
  assert.deepEqual(read[0], effect('1'));
});

test('a torn last line is cut off, wherever it was torn, and dump leaves it alone', async (t) => {
  const path = file(t);
  const { journal } = await open(path);
  await journal.append(effect('1'));
  const whole = statSync(path).size;
  await journal.append(effect('2'));
  await journal.close();
  const bytes = readFileSync(path);

  for (let size = whole; size < bytes.length; size++) { // also in the middle of a character
    writeFileSync(path, bytes.subarray(0, size));
    await readJournal(path, () => {});
    assert.equal(statSync(path).size, size);
    const again = await open(path);
    assert.deepEqual([again.ids, again.torn], [['1'], size - whole]);
    await again.journal.append(effect('3'));
    await again.journal.close();
    const after = await open(path);
    assert.deepEqual([after.ids, after.torn], [['1', '3'], 0]);
    await after.journal.close();
  }
});

test('a damaged line in the middle is not passed over', async (t) => {
  const path = file(t);
  for (const damage of ['{"source":"/ali', '', '\0\0\0', '{"id":"1"}', 'null']) {
    writeFileSync(path, `${JSON.stringify(effect('1'))}\n${damage}\n${JSON.stringify(effect('2'))}\n`);
    await assert.rejects(open(path), /line 2 is damaged/);
  }
});

test('lines that are added during a write share the next one', async (t) => {
  const path = file(t);
  const { journal } = await open(path);
  const first = journal.append(effect('1'));
  await new Promise(setImmediate); // its write is under way
  const [second, third] = [journal.append(effect('2')), journal.append(effect('3'))];
  assert.notEqual(first, second);
  assert.equal(second, third);
  assert.equal(journal.durable(), third);
  await third;
  await journal.close();
  /** @type {string[]} */
  const ids = [];
  await readJournal(path, ({ id }) => ids.push(id));
  assert.deepEqual(ids, ['1', '2', '3']);
});

test('after one failure nothing counts as durable any more', async () => {
  let writes = 0;
  const full = /** @type {any} */ ({
    appendFile: async () => {
      if (++writes === 1) throw new Error('no space left on device');
    },
    datasync: async () => {},
  });
  const journal = new Journal(full);
  await assert.rejects(journal.append(effect('1')), /no space/);
  await assert.rejects(journal.append(effect('2')), /no space/);
  await assert.rejects(journal.durable(), /no space/);
  assert.equal(writes, 1, 'nothing is written behind a torn line');
});
