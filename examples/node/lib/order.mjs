// Which of two events is the later one. Alipay sends in no order, and so do
// retries and replays: the order of arrival means nothing.

const rfc3339 = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))$/;

/**
 * An RFC 3339 time as text that sorts as time does, whatever its offset and
 * however long its fraction; a Date would drop what is finer than a millisecond.
 *
 * @param {string} time
 * @returns {string | undefined} undefined when it is no such time
 */
export function instant(time) {
  const [, local, fraction = '', sign, hours = '0', minutes = '0'] = rfc3339.exec(time) ?? [];
  if (local === undefined) return undefined;
  const ms = Date.parse(`${local}Z`);
  // Date takes the 30th of February for the 2nd of March.
  if (Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 19) !== local) return undefined;
  const offset = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -60 : 60);
  const seconds = ms / 1000 - offset + 1e11; // no year is negative then
  return `${String(seconds).padStart(12, '0')}.${fraction.replace(/0+$/, '')}`;
}

/**
 * Whether a comes after b: by time, and between equal times by the bytes of the
 * id, so that every consumer decides alike.
 *
 * @param {{time: string, id: string}} a
 * @param {{time: string, id: string}} b
 */
export function isLater(a, b) {
  const [x, y] = [instant(a.time) ?? '', instant(b.time) ?? ''];
  return x === y ? Buffer.compare(Buffer.from(a.id), Buffer.from(b.id)) > 0 : x > y;
}
