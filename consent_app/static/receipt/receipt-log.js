// @ts-check
// What a receipt is checked with: RFC 6962, the C2SP formats tlog-proof, tlog-checkpoint and signed-note, canonical JSON.
// As in consent_app/ledger/tlog; pure functions over Web Crypto.

/** @typedef {Record<string, any>} Node */
/** @typedef {{ index: number, hashes: Uint8Array[], checkpoint: string, nonce: Uint8Array }} Proof */
/** @typedef {{ name: string, id: string, raw: Uint8Array }} Key */
/** @typedef {{ origin: string, size: number, root: Uint8Array }} Checkpoint */

/** Why something does not hold: a code, and the facts that its words have places for. */
export class Fault extends Error {
  /** @param {string} code @param {Record<string, string | number>} [facts] */
  constructor(code, facts = {}) {
    super(code);
    this.code = code;
    this.facts = Object.fromEntries(Object.entries(facts).map(([name, fact]) => [name, String(fact).slice(0, 200)]));
  }
}

/** C2SP tlog-proof. @param {string} text @returns {Proof} */
export function readProof(text) {
  const shape = () => new Fault("proof_shape");
  const end = text.indexOf("\n\n");
  if (end < 0 || /[^\x00-\x7f]/.test(text.slice(0, end))) throw shape();
  const [header, ...lines] = text.slice(0, end).split("\n");
  if (header !== "c2sp.org/tlog-proof@v1") throw shape();
  const extra = lines[0]?.startsWith("extra ") ? from64((lines.shift() ?? "").slice(6), "proof_shape") : new Uint8Array();
  const index = lines.shift() ?? "";
  if (!index.startsWith("index ") || lines.length > 63) throw shape();
  const hashes = lines.map((line) => from64(line, "proof_shape"));
  if (hashes.some((hash) => hash.length !== 32)) throw shape();
  return { index: plainNumber(index.slice(6), "proof_shape"), hashes, checkpoint: text.slice(end + 2), nonce: extra };
}

/** @param {Uint8Array} entry @param {Proof} proof @param {Checkpoint} checkpoint */
export async function requireIncluded(entry, { index, hashes }, { size, root }) {
  const fault = () => new Fault("inclusion", { entry: index });
  if (index >= size) throw fault();
  let [place, last, found] = [BigInt(index), BigInt(size) - 1n, await sha256(Uint8Array.of(0), entry)];
  for (const sibling of hashes) {
    if (last === 0n) throw fault();
    if (place & 1n || place === last) {
      found = await sha256(Uint8Array.of(1), sibling, found);
      while (!(place & 1n) && place) [place, last] = [place >> 1n, last >> 1n];
    } else {
      found = await sha256(Uint8Array.of(1), found, sibling);
    }
    [place, last] = [place >> 1n, last >> 1n];
  }
  if (last !== 0n || to64(found) !== to64(root)) throw fault();
}

/** @param {string} text @returns {Checkpoint} */
export function readCheckpoint(text) {
  const lines = text.split("\n");
  const [origin, size, root] = lines;
  if (lines.length < 4 || lines.at(-1) || !lines.slice(0, -1).every(Boolean)) throw new Fault("note");
  const hash = from64(root ?? "", "note");
  if (hash.length !== 32) throw new Fault("note");
  return { origin: origin ?? "", size: plainNumber(size ?? "", "note"), root: hash };
}

/** @param {string} note @returns {{ text: string, signatures: { name: string, id: string, content: Uint8Array }[] }} */
export function readNote(note) {
  const end = note.lastIndexOf("\n\n");
  const tail = note.slice(end + 2);
  if (end < 0 || !tail.endsWith("\n") || /[\x00-\x09\x0b-\x1f]/.test(note) || !isWell(note)) throw new Fault("note");
  const lines = tail.slice(0, -1).split("\n");
  if (lines.length > 64) throw new Fault("note");
  const signatures = lines.map((line) => {
    const [, name = "", encoded = ""] = /^— ([^\s+]+) (.*)$/u.exec(line) ?? [];
    const content = from64(encoded, "note");
    if (!name || content.length < 5) throw new Fault("note");
    return { name, id: hex(content.slice(0, 4)), content: content.slice(4) };
  });
  return { text: note.slice(0, end + 1), signatures };
}

/** At least one known key signed, and none of them something else. @param {string} note @param {Key[]} known */
export async function requireSigned(note, known) {
  const { text, signatures } = readNote(note);
  let signed = false;
  for (const { name, id, content } of signatures) {
    const key = known.find((one) => one.name === name && one.id === id);
    if (!key) continue;
    if (!(await isSignature(key.raw, content, bytes(text)))) throw new Fault("signature");
    signed = true;
  }
  if (!signed) throw new Fault("signature");
}

/** @param {Uint8Array} raw @param {Uint8Array} signature @param {Uint8Array} text @returns {Promise<boolean>} */
async function isSignature(raw, signature, text) {
  let key;
  try {
    key = await crypto.subtle.importKey("raw", raw.slice(), "Ed25519", false, ["verify"]);
  } catch {
    throw new Fault("no_ed25519");
  }
  return crypto.subtle.verify("Ed25519", key, signature.slice(), text.slice());
}

/** The public keys of one log, one a line. @param {string} text @returns {Promise<Key[]>} */
export async function readKeys(text) {
  const lines = text.split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
  return Promise.all(lines.map(async (line) => {
    const [, name = "", id = "", encoded = ""] = /^([^\s+]+)\+([0-9a-f]{8})\+(.*)$/u.exec(line) ?? [];
    const typed = from64(encoded, "key");
    const expected = hex(await sha256(bytes(`${name}\n`), typed)).slice(0, 8);
    if (typed.length !== 33 || typed[0] !== 1 || id !== expected) throw new Fault("key");
    return { name, id, raw: typed.slice(1) };
  }));
}

/** These keys, and where `origin` is a year's log of theirs (their name, a slash, the year) the same under that name.
 * @param {string} origin @param {Key[]} known @returns {Promise<Key[]>} */
export async function covering(origin, known) {
  const [, ledger] = /^(.+)\/[0-9]{4}$/su.exec(origin) ?? [];
  const yearly = known.filter(({ name }) => name === ledger).map(async ({ raw }) => {
    const id = hex(await sha256(bytes(`${origin}\n`), Uint8Array.of(1), raw)).slice(0, 8);
    return { name: origin, id, raw };
  });
  return [...known, ...(await Promise.all(yearly))];
}

// -- texts and bytes ----------------------------------------------------------------------------------------------------

/** Canonical JSON (RFC 8785): numbers and texts as JSON.stringify writes them. @param {any} value @returns {string} */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (isObject(value)) {
    const names = Object.keys(value).sort();
    return `{${names.map((name) => `${canonical(name)}:${canonical(value[name])}`).join()}}`;
  }
  if (typeof value === "string" && !isWell(value)) throw new Fault("changed");
  return JSON.stringify(value);
}

/** @param {Uint8Array[]} parts @returns {Promise<Uint8Array>} */
export async function sha256(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
}

/** @param {string} text @returns {Uint8Array} */
export const bytes = (text) => new TextEncoder().encode(text);

/** @param {Uint8Array} content @returns {string} */
const hex = (content) => Array.from(content, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** @param {Uint8Array} content @returns {string} */
export const to64 = (content) => btoa(String.fromCharCode(...content));

/** The bytes of the one spelling of them. @param {string} text @param {string} code @param {Record<string, string>} [facts] */
export function from64(text, code, facts) {
  let found = new Uint8Array();
  try {
    found = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  } catch {
    throw new Fault(code, facts);
  }
  if (found.length > 4096 || to64(found) !== text) throw new Fault(code, facts);
  return found;
}

/** @param {string} text @param {string} code @returns {number} */
function plainNumber(text, code) {
  if (!/^(0|[1-9][0-9]{0,15})$/.test(text) || !Number.isSafeInteger(Number(text))) throw new Fault(code);
  return Number(text);
}

/** Whether a text is Unicode: no half of a pair. @param {string} text */
export const isWell = (text) => !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text);

/** @param {unknown} value @returns {value is Node} */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
