#!/usr/bin/env node
// An example of a consumer of alipay-notify's events: durable, idempotent, ordered
// by the time of the event, and safe to kill. Copy it and replace lib/state.mjs.

import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { consume } from './lib/consume.mjs';
import { Journal, readJournal } from './lib/journal.mjs';
import { log } from './lib/log.mjs';
import { bind, connectForEver, pointerTo } from './lib/nats.mjs';
import { readKey } from './lib/raw.mjs';
import { State } from './lib/state.mjs';

const usage = `Usage:
  node consumer.mjs run --nats URL --name NAME --state FILE [flags]
  node consumer.mjs dump --state FILE

run reads the durable consumers NAME of ALIPAY_EVENTS and ALIPAY_REPLAYS until
SIGTERM or SIGINT. dump prints the state as JSON.

  --nats URL            server, or several with commas between them
  --name NAME           name of both consumers
  --state FILE          where the state is kept; one file per process
  --token-file FILE     token, or
  --user USER --password-file FILE, or
  --creds FILE          credentials
  --ca FILE             certificates to trust, PEM; asks for TLS, as tls:// does
  --api-prefix PREFIX   ALIPAY.API in an account of your own
  --alipay-key PEM      check every request with this key of Alipay; repeatable
  --create              make or update the consumers (development)
`;

const flag = /** @type {const} */ ({ type: 'string' });
const flags = {
  nats: flag, name: flag, state: flag, user: flag, creds: flag, ca: flag,
  'token-file': flag, 'password-file': flag, 'api-prefix': flag,
  'alipay-key': /** @type {const} */ ({ type: 'string', multiple: true }),
  create: /** @type {const} */ ({ type: 'boolean' }),
};

/** @param {string[]} args */
function parse(args) {
  const { values, positionals } = parseArgs({ args, options: flags, allowPositionals: true });
  const [verb, ...rest] = positionals;
  if (!['run', 'dump'].includes(verb) || rest.length > 0) throw new Error('say run or dump');
  const { state, nats = '', name = '' } = values;
  if (!state) throw new Error('--state is missing');
  if (verb === 'run') {
    if (!nats) throw new Error('--nats is missing');
    if (nats.includes('@')) throw new Error('--nats holds a login: give it in a file, where no process list shows it');
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(name)) throw new Error('--name must be of A-Z a-z 0-9 _ -');
    if (Boolean(values.user) !== Boolean(values['password-file'])) throw new Error('--user and --password-file go together');
    if ([values['token-file'], values.user, values.creds].filter(Boolean).length > 1) throw new Error('give one login only');
  }
  return { verb, state, nats, name, values };
}

/** @param {ReturnType<typeof parse>} options */
async function run({ state: path, nats, name, values }) {
  const stopping = new AbortController();
  // once: a second signal ends the process the hard way, which loses nothing either.
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => stopping.abort());

  const keys = new Map((values['alipay-key'] ?? []).map((file) => readKeyFile(file)));
  const state = new State();
  const { journal, torn } = await Journal.open(path, (effect) => state.apply(effect));
  log('info', 'state read', { events: state.toJSON().events, torn_bytes: torn });
  try {
    const options = {
      url: nats, name, create: values.create, user: values.user, creds: values.creds, ca: values.ca,
      tokenFile: values['token-file'], passwordFile: values['password-file'], apiPrefix: values['api-prefix'],
    };
    const nc = await connectForEver(options, stopping.signal);
    // It reconnects by itself; closed for good it is by us, or when a secret cannot be read any more.
    let lost = false;
    nc.closed().then(() => {
      lost = !stopping.signal.aborted;
      stopping.abort();
    });
    try {
      const consumers = await bind(nc, options, stopping.signal);
      log('info', 'reading', { name });
      const memory = { state, journal, keys, point: pointerTo(nc, options) };
      const loops = consumers.map((consumer) => consume(consumer, memory, stopping.signal));
      for (const loop of loops) loop.catch(() => stopping.abort()); // one fails: the other stops
      await Promise.allSettled(loops);
      await Promise.all(loops);
    } finally {
      // Sends the acknowledgements that are still here. Without a server they are not
      // sent, and the events come again and are known.
      await Promise.race([nc.drain(), sleep(5000)]).catch(() => {});
    }
    if (lost) throw new Error('the connection was closed for good');
  } catch (err) {
    if (!(err instanceof Error && err.name === 'AbortError' && stopping.signal.aborted)) throw err; // stopped while it waited
  } finally {
    await journal.close();
  }
  log('info', 'stopped', { events: state.toJSON().events });
}

/** @param {string} file */
function readKeyFile(file) {
  try {
    return readKey(readFileSync(file, 'utf8'));
  } catch (err) {
    throw new Error(`${file}: ${/** @type {Error} */ (err).message}`);
  }
}

/** @param {string} path */
async function dump(path) {
  if (!existsSync(path)) throw new Error(`${path} is not there: "run" makes it`);
  const state = new State();
  await readJournal(path, (effect) => state.apply(effect)); // changes nothing: run may be writing
  process.stdout.write(`${JSON.stringify(state, undefined, 2)}\n`);
}

/** @param {string[]} args @returns {Promise<number>} the exit code: 0 done, 1 failed, 2 usage */
async function main(args) {
  let options;
  try {
    options = parse(args);
  } catch (err) {
    process.stderr.write(`consumer: ${/** @type {Error} */ (err).message}\n\n${usage}`);
    return 2;
  }
  try {
    await (options.verb === 'dump' ? dump(options.state) : run(options));
    return 0;
  } catch (err) {
    log('error', 'failed', { reason: /** @type {Error} */ (err).message });
    return 1;
  }
}

// Explicitly: a connection that cannot drain would keep the process alive.
process.exit(await main(process.argv.slice(2)));
