// Alipay's side of both protocols, in Node: it verifies every request and signs
// its answer, and answers with the parameters as it understood them. It shares no
// code with this module and was written from the protocol's description alone; the
// signing strings are put together from what came over the wire.
//
//   node alipay.mjs DIR
//
// DIR has settings.json {app_id, app_public, alipay_private, aes, token, app_sn,
// root_sn, alipay_sn}: keys as PEM, the AES key in base64, and the serial numbers of
// certificate mode, empty where there is none. It prints its port, and ends when its
// standard input does.
import { createDecipheriv, createCipheriv, createSign, createVerify } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const settings = JSON.parse(readFileSync(`${process.argv[2]}/settings.json`, "utf8"));
const aes = Buffer.from(settings.aes, "base64");
const noIV = Buffer.alloc(16);

const verified = (text, sign) => createVerify("RSA-SHA256").update(text).verify(settings.app_public, sign, "base64");
const signed = (bytes) => createSign("RSA-SHA256").update(bytes).sign(settings.alipay_private, "base64");

function encrypt(text) {
	const c = createCipheriv("aes-128-cbc", aes, noIV);
	return c.update(text, "utf8", "base64") + c.final("base64");
}

function decrypt(text) {
	const d = createDecipheriv("aes-128-cbc", aes, noIV);
	return d.update(text, "base64", "utf8") + d.final("utf8");
}

// gbk encodes, which Node cannot: it turns its own decoder round.
const toGBK = new Map();
for (let high = 0x81; high <= 0xfe; high++)
	for (let low = 0x40; low <= 0xfe; low++) {
		const char = new TextDecoder("gbk").decode(Uint8Array.of(high, low));
		if (char.length === 1 && !toGBK.has(char)) toGBK.set(char, [high, low]);
	}
const gbk = (text) => Buffer.from([...text].flatMap((c) => (c < "\x80" ? [c.charCodeAt(0)] : toGBK.get(c) ?? [0x3f])));

class Refusal extends Error {}
const want = (ok, why) => {
	if (!ok) throw new Refusal(why);
};

const nonces = new Set();

// v3 gives the parameters of a REST call, and the time to sign the answer with.
function v3(req, body) {
	const [, auth, sign] = /^ALIPAY-SHA256withRSA (.*),sign=([^,]*)$/.exec(req.headers.authorization ?? "") ?? [];
	want(auth, "Authorization");
	const fields = new Map(auth.split(",").map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]));
	want(fields.get("app_id") === settings.app_id, "app_id");
	want((fields.get("app_cert_sn") ?? "") === settings.app_sn, "app_cert_sn");
	want((req.headers["alipay-root-cert-sn"] ?? "") === settings.root_sn, "alipay-root-cert-sn");
	want((req.headers["alipay-app-auth-token"] ?? "") === settings.token, "alipay-app-auth-token");
	want(/^[\w-]{1,32}$/.test(req.headers["alipay-request-id"] ?? ""), "alipay-request-id");
	want(!nonces.has(fields.get("nonce")), "the nonce was used before");
	nonces.add(fields.get("nonce"));
	const token = settings.token && `${settings.token}\n`;
	const text = `${auth}\n${req.method}\n${req.url}\n${body}\n${token}`;
	want(verified(text, sign), `the signature is not over ${JSON.stringify(text)}`);

	const url = new URL(req.url, "http://localhost");
	const params = Object.fromEntries(url.searchParams);
	const path = /^\/v3\/alipay\/marketing\/activity\/([^/]+)$/.exec(url.pathname);
	if (path) params.activity_id = decodeURIComponent(path[1]);
	const encrypted = req.headers["alipay-encrypt-type"] === "AES";
	want(!body || req.headers["content-type"] === (encrypted ? "text/plain" : "application/json"), "Content-Type");
	return { params: { ...params, ...(body && JSON.parse(encrypted ? decrypt(body) : body)) }, encrypted, stamp: fields.get("timestamp") };
}

function answerV3(res, { params, encrypted, stamp }) {
	const plain = JSON.stringify({ understood: params });
	const body = encrypted ? encrypt(plain) : plain;
	res.setHeader("alipay-timestamp", stamp);
	res.setHeader("alipay-nonce", "n");
	if (settings.alipay_sn) res.setHeader("alipay-sn", settings.alipay_sn);
	res.setHeader("alipay-signature", signed(`${stamp}\nn\n${body}\n`));
	res.end(body);
}

// gateway gives the parameters of a call of gateway.do.
function gateway(req, body) {
	const url = new URL(req.url, "http://localhost");
	want(url.searchParams.has("charset") && !url.searchParams.has("biz_content"), "charset in the URL, biz_content in the body");
	const all = new Map([...url.searchParams, ...new URLSearchParams(body)]);
	const sign = all.get("sign");
	all.delete("sign");
	const text = [...all].filter(([, value]) => value !== "").sort(([a], [b]) => (a < b ? -1 : 1)).map((pair) => pair.join("=")).join("&");
	want(verified(text, sign), `the signature is not over ${JSON.stringify(text)}`);
	for (const [name, value] of Object.entries({
		app_id: settings.app_id, format: "JSON", sign_type: "RSA2", version: "1.0", app_cert_sn: settings.app_sn,
		alipay_root_cert_sn: settings.root_sn, app_auth_token: settings.token,
	})) want((all.get(name) ?? "") === value, name);
	want(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(all.get("timestamp")), "timestamp");
	const encrypted = all.get("encrypt_type") === "AES";
	const params = JSON.parse(encrypted ? decrypt(all.get("biz_content")) : all.get("biz_content"));
	if (all.has("auth_token")) params.auth_token = all.get("auth_token");
	return { params, encrypted, charset: all.get("charset"), method: all.get("method") };
}

function answerGateway(res, { params, encrypted, charset, method }) {
	const plain = JSON.stringify({ code: "10000", msg: "Success", understood: params });
	const coded = charset === "GBK" ? gbk : (text) => Buffer.from(text);
	const node = coded(encrypted ? JSON.stringify(encrypt(plain)) : plain);
	const sn = settings.alipay_sn && `,"alipay_cert_sn":"${settings.alipay_sn}"`;
	res.setHeader("Content-Type", `text/html;charset=${charset}`);
	res.end(Buffer.concat([
		Buffer.from(`{"${method.replaceAll(".", "_")}_response":`), node, Buffer.from(`,"sign":"${signed(node)}"${sn}}`),
	]));
}

const server = createServer((req, res) => {
	const chunks = [];
	req.on("data", (chunk) => chunks.push(chunk));
	req.on("end", () => {
		const body = Buffer.concat(chunks).toString("utf8");
		try {
			if (req.url.startsWith("/gateway.do?")) answerGateway(res, gateway(req, body));
			else answerV3(res, v3(req, body));
		} catch (e) {
			res.statusCode = 400;
			res.end(JSON.stringify({ code: e instanceof Refusal ? "invalid-signature" : "broken", message: String(e.message) }));
		}
	});
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
