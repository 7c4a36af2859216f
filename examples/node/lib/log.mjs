/**
 * Writes one JSON line to stderr. Callers give ids, counts and reasons: never a
 * payload, a subject (its key may be a card number) or anything about a person.
 *
 * @param {'info' | 'warn' | 'error'} level
 * @param {string} message
 * @param {Record<string, unknown>} [fields]
 */
export function log(level, message, fields = {}) {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields })}\n`);
}
