// Reads a whole stream and tells whether every message of it is a CloudEvent:
// NATS protocol binding, binary mode, by the official JavaScript SDK. Each
// message becomes one line of JSON on stdout. The first that is none ends the
// run with exit code 1; 2 is wrong usage.
//
//   node check.mjs --nats URL [--token-file F] [--stream ALIPAY_EVENTS]

import { readFileSync } from "node:fs";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { CloudEvent, HTTP } from "cloudevents";

const limit = 60_000; // ms that a run may take: a stream that goes silent is a failure
const coreAttributes = ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"];

// decode maps a message by the NATS protocol binding, 1.0.3-wip section 3.1, has
// the SDK validate the event, and gives what comes back from the SDK's JSON.
function decode(headers, payload) {
  const attributes = attributesOf(headers);
  if (attributes.datacontenttype !== "application/json") {
    throw new Error("ce-datacontenttype is not application/json");
  }
  const data = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload));
  const event = new CloudEvent({ ...attributes, data }, true);
  same(attributes, data, event, "the SDK makes another event of it");
  const back = HTTP.toEvent(HTTP.structured(event));
  back.validate();
  same(attributes, data, back, "JSON and back gives another event");
  return back;
}

// same fails unless an event has exactly these attributes and this data: the SDK
// makes up an id, a time and a version where there is none.
function same(attributes, data, event, message) {
  const wanted = { ...attributes, time: instant(attributes.time) };
  const got = { ...valuesOf(event), time: instant(event.time) };
  for (const name of new Set([...Object.keys(wanted), ...Object.keys(got)])) {
    if (wanted[name] !== got[name]) throw new Error(`${name}: ${message}`);
  }
  if (!isDeepStrictEqual(data, event.data)) throw new Error(`data: ${message}`);
}

function instant(time) {
  return time === undefined ? undefined : Date.parse(time);
}

// valuesOf gives all attributes of an event, extensions included.
function valuesOf(event) {
  return Object.fromEntries(Object.entries(event).filter(([name, value]) => name !== "data" && value !== undefined));
}

// attributesOf decodes the headers of the binding. The binding has receivers
// take more than senders may write; here it is the sender that is on trial.
function attributesOf(headers) {
  const attributes = {};
  for (const [name, values] of headers ?? []) {
    if (name.toLowerCase() === "content-type" && values[0].toLowerCase().startsWith("application/cloudevents")) {
      throw new Error("this is structured mode, not binary");
    }
    if (!name.toLowerCase().startsWith("ce-")) continue;
    if (!/^ce-[a-z0-9]+$/.test(name) || name === "ce-data") throw new Error(`${name}: no attribute can have this name`);
    if (values.length !== 1) throw new Error(`${name}: ${values.length} values, want one`);
    attributes[name.slice(3)] = unescape(name, values[0]);
  }
  for (const name of ["specversion", "id", "source", "type"]) {
    if (!attributes[name]) throw new Error(`ce-${name} is missing or empty`);
  }
  if (attributes.specversion !== "1.0") throw new Error("ce-specversion is not 1.0");
  // The SDK would take a space for the T.
  if ("time" in attributes && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(attributes.time)) {
    throw new Error("ce-time: not RFC 3339");
  }
  return attributes;
}

// unescape decodes a value that has exactly those bytes encoded which the
// binding says must be.
function unescape(name, raw) {
  let value;
  try {
    value = decodeURIComponent(raw); // refuses broken escapes and what is not UTF-8
  } catch {
    throw new Error(`${name}: broken percent-encoding, or not UTF-8 behind it`);
  }
  if (value.replace(/[^\x21\x23\x24\x26-\x7e]/gu, encodeURIComponent) !== raw) {
    throw new Error(`${name}: other bytes are percent-encoded than have to be`);
  }
  return value;
}

// lineOf is what is printed of a message.
function lineOf(sequence, event) {
  const line = { sequence, attributes: {}, extensions: {}, data: event.data };
  for (const [name, value] of Object.entries(valuesOf(event))) {
    line[coreAttributes.includes(name) ? "attributes" : "extensions"][name] = value;
  }
  return JSON.stringify(line);
}

// check reads the stream up to what was its last message when it began, and
// gives the number of messages.
async function check(connection, stream) {
  const { state } = await (await jetstreamManager(connection)).streams.info(stream);
  if (state.messages === 0) throw new Error(`${stream} holds no message, so nothing was checked`);
  const consumer = await jetstream(connection).consumers.get(stream); // without a name it is an ordered one
  let count = 0;
  for await (const message of await consumer.consume()) {
    let event;
    try {
      event = decode(message.headers, message.data);
    } catch (err) {
      throw new Error(`${stream} ${message.seq}: ${err.message}`);
    }
    process.stdout.write(lineOf(message.seq, event) + "\n");
    count++;
    if (message.seq >= state.last_seq || message.info.pending === 0) break;
  }
  return count;
}

function fail(code, text) {
  process.stderr.write(`check: ${text.replace(/\s+/g, " ")}\n`); // the SDK's errors have lines
  process.exit(code);
}

function options() {
  const usage = "usage: node check.mjs --nats URL [--token-file F] [--stream ALIPAY_EVENTS]";
  const text = { type: "string" };
  try {
    const { values } = parseArgs({ options: { nats: text, "token-file": text, stream: { ...text, default: "ALIPAY_EVENTS" } } });
    return values.nats ? values : fail(2, usage);
  } catch (err) {
    return fail(2, `${err.message} ${usage}`);
  }
}

const { nats, stream, "token-file": tokenFile } = options();
setTimeout(() => fail(1, `${stream}: not read within ${limit / 1000} s`), limit).unref();
try {
  const token = tokenFile && readFileSync(tokenFile, "utf8").trim();
  const connection = await connect({ servers: nats, token });
  const count = await check(connection, stream);
  await connection.close();
  process.stderr.write(`${count} messages of ${stream} are valid CloudEvents\n`);
} catch (err) {
  fail(1, err.message);
}
