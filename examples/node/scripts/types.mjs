// Makes types/*.d.ts of the published schemas, ../../schemas/*.v1.json.
//
//   node scripts/types.mjs            writes them
//   node scripts/types.mjs --check    fails when they are not what it would write

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compile } from 'json-schema-to-typescript';

const schemas = fileURLToPath(new URL('../../../schemas/', import.meta.url));
const types = fileURLToPath(new URL('../types/', import.meta.url));
const suffix = '.v1.json';

/** @param {string} kind such as voucher.created; gives VoucherCreated */
const typeName = (kind) => kind.replace(/(?:^|[._-])(\w)/g, (_, letter) => letter.toUpperCase());

/** @returns {Promise<Map<string, string>>} file name -> text */
async function generate() {
  const banner = (/** @type {string} */ from) => `// Generated from ${from} by "npm run generate". Do not edit.\n`;
  const kinds = [];
  const files = new Map();
  for (const file of readdirSync(schemas).filter((name) => name.endsWith(suffix)).sort()) {
    const { $id = '', title, description, ...schema } = JSON.parse(readFileSync(join(schemas, file), 'utf8'));
    const kind = file.slice(0, -suffix.length);
    // Beside the kinds of events, which have a dot: the AsyncAPI document, expectations, and the records of what operators did.
    if (!$id.startsWith('urn:alipay-notify:schema:') || !kind.includes('.') || kind.startsWith('audit.')) continue;
    kinds.push(kind);
    // Neither $id nor title makes a good name: the type is called as the kind is.
    schema.description = [title, description].filter(Boolean).join('\n\n');
    files.set(`${kind}.d.ts`, await compile(schema, typeName(kind), { bannerComment: banner(`schemas/${file}`) }));
  }
  files.set('index.d.ts', [
    banner('schemas/'),
    ...kinds.map((kind) => `import type { ${typeName(kind)} } from './${kind}.js';`),
    '\n/** The data of each kind of event, by entity.action. */',
    'export interface EventData {',
    ...kinds.map((kind) => `  '${kind}': ${typeName(kind)};`),
    '}\n',
  ].join('\n'));
  return files;
}

/** @param {string} file */
function current(file) {
  try {
    return readFileSync(join(types, file), 'utf8');
  } catch {
    return undefined;
  }
}

const wanted = await generate();
const surplus = readdirSync(types).filter((file) => !wanted.has(file));
if (process.argv.includes('--check')) {
  const stale = [...wanted.keys()].filter((file) => current(file) !== wanted.get(file)).concat(surplus);
  if (stale.length > 0) {
    console.error(`types/ is not what the schemas say (${stale.join(', ')}): run "npm run generate" and commit the result`);
    process.exitCode = 1;
  }
} else {
  surplus.forEach((file) => rmSync(join(types, file)));
  wanted.forEach((text, file) => writeFileSync(join(types, file), text));
}
