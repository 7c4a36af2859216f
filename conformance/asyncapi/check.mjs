// Checks the AsyncAPI document of our events, or the one that is named:
//
//   npm ci && node check.mjs [FILE]
//
// The official parser must take it without error or warning. The parser does not
// look into examples of AsyncAPI 3, so they are validated here: headers and payload
// against the message's own schemas, and payloads against the JSON Schema file that
// the example's ce-dataschema names. Nothing is fetched.
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Parser } from '@asyncapi/parser';
import Ajv from 'ajv';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

const here = dirname(fileURLToPath(import.meta.url));
export const ours = join(here, '../../schemas/asyncapi.v1.json');

// What the parser may say of a good document, and why.
const justified = {
  'asyncapi-latest-version': 'we stay with 3.0.0, which all tools know: nothing of 3.1.0 is used',
};
const severities = ['error', 'warning', 'info', 'hint'];

// check gives what was counted, and a line for each problem.
export async function check(text, file) {
  const problems = [];
  const { document, diagnostics } = await new Parser().parse(text, { source: file });
  for (const d of diagnostics) {
    if (d.severity <= 1 || !justified[d.code]) {
      problems.push(`${severities[d.severity]} ${d.code} at /${d.path.join('/')}: ${d.message}`);
    }
  }
  const counted = { channels: 0, operations: 0, messages: 0, examples: 0 };
  if (!document) {
    return { counted, problems: problems.concat('the parser gave no document') };
  }
  counted.operations = document.operations().all().length;
  for (const channel of document.channels().all()) {
    counted.channels++;
    if (channel.messages().isEmpty()) problems.push(`${channel.id()}: no messages`);
    if (channel.operations().isEmpty()) problems.push(`${channel.id()}: no operation`);
  }
  const validators = new Validators(dirname(file));
  for (const message of document.components().messages().all()) {
    counted.messages++;
    const examples = message.examples().all();
    if (examples.length === 0) problems.push(`${message.id()}: no examples`);
    for (const example of examples) {
      counted.examples++;
      for await (const problem of validators.problems(message, example)) {
        problems.push(`${message.id()}, example ${example.name()}: ${problem}`);
      }
    }
  }
  return { counted, problems };
}

// Validators compiles each schema once, in the dialect that it is written in.
class Validators {
  #draft07 = addFormats(new Ajv({ strict: false, allErrors: true }));
  #draft2020 = addFormats(new Ajv2020({ strict: false, allErrors: true }));
  #compiled = new Map();

  constructor(folder) {
    this.folder = folder;
  }

  async *problems(message, example) {
    yield* this.#validate('headers', message.headers()?.json(), example.headers());
    yield* this.#validate('payload', message.payload()?.json(), example.payload());
    const named = example.headers()?.['ce-dataschema']?.match(/^urn:alipay-notify:schema:(.+):(v[0-9]+)$/);
    if (named) {
      const file = join(this.folder, `${named[1]}.${named[2]}.json`);
      if (!this.#compiled.has(file)) {
        this.#compiled.set(file, this.#draft2020.compile(JSON.parse(await readFile(file, 'utf8'))));
      }
      yield* this.#errors(`payload, by ${file}`, this.#compiled.get(file), example.payload());
    }
  }

  *#validate(what, schema, value) {
    if (schema === undefined && value === undefined) return;
    if (schema === undefined) return yield `${what} without a schema`;
    if (!this.#compiled.has(schema)) this.#compiled.set(schema, this.#draft07.compile(schema));
    yield* this.#errors(what, this.#compiled.get(schema), value);
  }

  *#errors(what, validate, value) {
    if (!validate(value)) {
      yield* validate.errors.map((e) => `${what}${e.instancePath} ${e.message}`);
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = process.argv[2] ?? ours;
  const { counted, problems } = await check(await readFile(file, 'utf8'), file);
  for (const problem of problems) console.error(problem);
  console.log(`${file}: ${Object.entries(counted).map(([what, n]) => `${n} ${what}`).join(', ')}; ${problems.length} problems`);
  process.exitCode = problems.length ? 1 : 0;
}
