// Starts what the tests against a real server need, and stops it.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const binary = process.env.ALIPAY_NOTIFY_NATS_SERVER;
if (binary === '') throw new Error('ALIPAY_NOTIFY_NATS_SERVER is set, but empty');

/** For test(): why a test against a real server cannot run here, or false. */
export const skip = binary === undefined && 'ALIPAY_NOTIFY_NATS_SERVER does not name a nats-server: in the root folder, go build -o bin/nats-server github.com/nats-io/nats-server/v2';

/** @typedef {import('node:test').TestContext} TestContext */

/** @param {TestContext} t */
export function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'consumer-'));
  t.after(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }));
  return path;
}

/** @param {string} what @param {() => any} condition @param {number} [seconds] */
export async function eventually(what, condition, seconds = 60) {
  for (const deadline = Date.now() + seconds * 1000; ;) {
    const result = await condition();
    if (result) return result;
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain: ${what}`);
    await sleep(20);
  }
}

/**
 * A process with what it wrote. It is killed when the test ends.
 *
 * @param {TestContext} t
 * @param {string} command
 * @param {string[]} args
 * @param {Record<string, string>} [env]
 */
export function start(t, command, args, env = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  const said = { out: '', err: '' };
  child.stdout.on('data', (text) => (said.out += text));
  child.stderr.on('data', (text) => (said.err += text));
  /** @type {Promise<number | null>} */
  const ended = new Promise((resolve) => child.on('close', (code) => resolve(code)));
  const end = (/** @type {NodeJS.Signals} */ signal) => {
    child.kill(signal);
    return ended;
  };
  t.after(() => end('SIGKILL'));
  return { said, ended, end };
}

/**
 * A nats-server on a port of the kernel's choice, which it keeps over restarts.
 *
 * @param {TestContext} t
 * @param {string[]} args
 * @param {Record<string, string>} [env]
 */
export async function natsServer(t, args, env) {
  const ports = folder(t);
  const run = (/** @type {string} */ port) => start(t, /** @type {string} */ (binary), ['-a', '127.0.0.1', '-p', port, '--ports_file_dir', ports, ...args], env);
  let server = run('-1');
  let exited = false;
  server.ended.then(() => (exited = true));
  const [url] = await eventually('the server listens', () => {
    if (exited) throw new Error(`nats-server: ${server.said.err}`);
    const [file] = readdirSync(ports).filter((name) => name.endsWith('.ports'));
    try {
      return JSON.parse(readFileSync(join(ports, file), 'utf8')).nats;
    } catch {
      return undefined; // not there, or not whole
    }
  });
  return {
    url,
    restart: async () => {
      await server.end('SIGKILL');
      server = run(new URL(url).port);
    },
  };
}

const script = fileURLToPath(new URL('../consumer.mjs', import.meta.url));

/** @param {TestContext} t @param {string[]} args */
export const consumer = (t, ...args) => start(t, process.execPath, [script, ...args]);
