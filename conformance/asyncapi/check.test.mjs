// The check takes our document and refuses broken ones.
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import { check, ours } from './check.mjs';

const text = await readFile(ours, 'utf8');

test('our document', async () => {
  const { counted, problems } = await check(text, ours);
  assert.deepEqual(problems, []);
  for (const [what, n] of Object.entries(counted)) assert.ok(n > 0, `no ${what}`);
});

const created = (d) => d.components.messages['voucher.created'];
const broken = {
  'another version': [(d) => (d.asyncapi = '9.0.0'), /asyncapi-is-asyncapi/],
  'no title': [(d) => delete d.info.title, /title/],
  'a member that nobody knows': [(d) => (d.subjects = {}), /subjects/],
  'a parameter that is not described': [(d) => delete d.channels['voucher.created'].parameters.key, /asyncapi3-channel-parameters/],
  'a reference to nothing': [(d) => (created(d).payload = { $ref: '#/components/schemas/none' }), /none/],
  'an operation of no channel': [(d) => (d.operations['receiveVoucherCreated'].channel.$ref = '#/components/none'), /operations/],
  'a schema that is none': [(d) => (d.components.schemas['voucher.created'].type = 'text'), /type/],
  'a channel without operation': [(d) => delete d.operations['receiveVoucherCreated'], /no operation/],
  'a message without examples': [(d) => delete created(d).examples, /no examples/],
  'an example without its key': [(d) => delete created(d).examples[0].payload.activity_id, /activity_id/],
  'an example with a number for an id': [(d) => (created(d).examples[0].payload.id = 7), /payload\/id/],
  'an example without ce-id': [(d) => delete created(d).examples[0].headers['ce-id'], /ce-id/],
  'an example of another type': [(d) => (created(d).examples[0].headers['ce-type'] = 'x'), /ce-type/],
  'a schema that is no copy any more': [
    (d) => {
      d.components.schemas['voucher.created'].properties.event_time = {};
      created(d).examples[0].payload.event_time = 'soon';
    },
    /voucher\.created\.v1\.json/,
  ],
};

for (const [name, [breakIt, expected]] of Object.entries(broken)) {
  test(`refused: ${name}`, async () => {
    const document = JSON.parse(text);
    breakIt(document);
    const { problems } = await check(JSON.stringify(document), ours);
    assert.match(problems.join('\n'), expected);
  });
}

test('refused: no JSON', async () => {
  const { problems } = await check(text.slice(0, -10), ours);
  assert.notDeepEqual(problems, []);
});

// By the recipe of docs/EVENTS.md, with the key that stands there, and nothing of ours.
test('the examples are signed', async () => {
  const guide = await readFile(new URL('../../docs/EVENTS.md', import.meta.url), 'utf8');
  const key = createPublicKey({ key: Buffer.from(guide.match(/^MII[A-Za-z0-9+/=]+$/m)[0], 'base64'), format: 'der', type: 'spki' });
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
  let proved = 0;
  for (const [name, message] of Object.entries(JSON.parse(text).components.messages)) {
    for (const { name: example, headers } of message.examples) {
      if (!headers?.['Alipay-Raw']) continue;
      assert.ok(signed(headers, key), `${name}, example ${example}`);
      assert.ok(!signed(headers, other), 'proved by another key');
      proved++;
    }
  }
  assert.ok(proved > 30, `${proved} examples`);
});

function signed(headers, key) {
  let raw = headers['Alipay-Raw'];
  if (headers['Alipay-Raw-Encoding'] === 'base64') raw = Buffer.from(raw, 'base64').toString('latin1');
  const bytes = (s) => s.replaceAll('+', ' ').replace(/%([0-9A-Fa-f]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  const fields = new Map(raw.split('&').map((f) => [bytes(f.slice(0, f.indexOf('='))), bytes(f.slice(f.indexOf('=') + 1))]));
  const signature = Buffer.from(fields.get('sign'), 'base64');
  fields.delete('sign');
  const rule = headers['Alipay-Proof'].match(/rule=(keep|drop|insert)-sign-type,(keep|drop)-empty/);
  if (rule[1] === 'drop') fields.delete('sign_type');
  if (rule[1] === 'insert') fields.set('sign_type', 'RSA2');
  const signedString = [...fields]
    .filter(([, value]) => rule[2] === 'keep' || value !== '')
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
  return verify('sha256', Buffer.from(signedString, 'latin1'), key, signature);
}
