import assert from 'node:assert/strict';
import test from 'node:test';
import { instant, isLater } from '../lib/order.mjs';

test('times compare as instants, whatever their offset and however fine', () => {
  const ascending = [
    '0000-01-01T00:00:00Z',
    '1969-12-31T23:59:59.999Z',
    '1970-01-01T00:00:00Z',
    '2026-01-01T09:59:59.999999999Z',
    '2026-01-01T10:00:00Z', // as text it would come after the next: "Z" is above "."
    '2026-01-01T10:00:00.000000000000001Z',
    '2026-01-01T10:00:00.09Z',
    '2026-01-01T10:00:00.1Z',
    '2026-01-01T10:00:00.10001Z',
    '2026-01-01T18:00:00.2+08:00',
    '2026-01-01T00:00:00-12:00',
    '9999-12-31T23:59:59Z',
  ].map((time) => /** @type {string} */ (instant(time)));
  assert.deepEqual([...ascending].reverse().sort(), ascending);
  assert.equal(new Set(ascending).size, ascending.length);
});

test('one instant is one, in every spelling', () => {
  for (const same of ['2026-01-01T10:00:00.5Z', '2026-01-01T10:00:00.500000Z', '2026-01-01T18:00:00.50+08:00', '2026-01-01T04:30:00.5-05:30']) {
    assert.equal(instant(same), instant('2026-01-01T10:00:00.500Z'), same);
  }
});

test('what is no time is none', () => {
  for (const no of ['', '2026-01-01', '2026-02-30T00:00:00Z', '2026-01-01T24:00:00Z', '2026-01-01T10:00:60Z', '2026-13-01T00:00:00Z',
    '2026-01-01T10:00:00', '2026-01-01T10:00:00.Z', '2026-01-01 10:00:00Z', '2026-01-01T10:00:00+24:00', ' 2026-01-01T10:00:00Z']) {
    assert.equal(instant(no), undefined, no);
  }
});

test('between equal times the bytes of the id decide', () => {
  const time = '2026-01-01T10:00:00Z';
  assert.ok(isLater({ time, id: 'b' }, { time: '2026-01-01T18:00:00.0+08:00', id: 'a' }));
  assert.ok(!isLater({ time, id: 'a' }, { time, id: 'a' }));
  assert.ok(isLater({ time, id: 'ab' }, { time, id: 'a' }));
  // In UTF-16 the first would be smaller: its units begin with D83D.
  assert.ok(isLater({ time, id: '\u{1F600}' }, { time, id: '\uFF21' }));
  assert.ok(isLater({ time: '2026-01-01T10:00:00.0001Z', id: 'a' }, { time, id: 'b' }));
});
