// @ts-check
// Checks of a receipt by itself, as `consent receipt verify` does them (consent_app/receipt_check.py): Web Crypto, no
// network, no page. What is said of a fault is a code; receipt-verify.js has the words for it.
import { bytes, canonical, Fault, from64, isObject, isWell, sha256, to64 } from "./receipt-log.js";
import { covering, readCheckpoint, readKeys, readNote, readProof } from "./receipt-log.js";
import { requireIncluded, requireSigned } from "./receipt-log.js";

/** @typedef {import("./receipt-log.js").Node} Node */
/** @typedef {import("./receipt-log.js").Proof} Proof */
/** @typedef {import("./receipt-log.js").Key} Key */
/** @typedef {{ name: string, ok: boolean, code: string, facts: Record<string, string> }} Check */
/** @typedef {{ text: string, record: Node, nonce: Uint8Array, proof: Proof }} Evidence */

const LONGEST = 1_000_000;
const MOST_EVENTS = 50;
const TAG = "consent-app/ledger-entry/v1\n";
const PROFILE = "https://w3id.org/dpv/schema/dpv-27560#";
const RECORD_SCHEMA = "urn:consent-app:consent-record:1";
const DECLARED = new Set([
  "app:entry", "app:nonce", "app:proof", "app:seal", "dct:created", "dct:source", "dpv:hasConsentControl",
  "dpv:hasContact", "dpv:hasPersonalData", "dpv:hasPurpose", "dpv:hasRecipient", "dpv:hasRight", "dpv:hasService",
  "dpv:hasStorageCondition",
]);
const IRI = { "@type": "@id" };
const CONTEXT = {
  "@version": 1.1,
  app: "urn:consent-app:receipt#",
  dct: "http://purl.org/dc/terms/",
  dpv: "https://w3id.org/dpv#",
  loc: "https://w3id.org/dpv/loc#",
  pd: "https://w3id.org/dpv/pd#",
  rdf: "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
  skos: "http://www.w3.org/2004/02/skos/core#",
  xsd: "http://www.w3.org/2001/XMLSchema#",
  "dct:conformsTo": IRI,
  "dct:created": { "@type": "xsd:dateTime" },
  "dct:date": { "@type": "xsd:date" },
  "dct:publisher": IRI,
  "dct:source": IRI,
  "dpv:hasAddress": IRI,
  "dpv:hasContact": IRI,
  "dpv:hasJurisdiction": IRI,
  "dpv:hasLocation": IRI,
  "dpv:isExercisedAt": IRI,
  "dpv:isIndicatedAtTime": { "@type": "xsd:dateTime" },
  "dpv:isIndicatedBy": IRI,
  "skos:broader": IRI,
};
/** @type {Record<string, string>} */
const STATES = {
  given: "dpv:ConsentGiven",
  changed: "dpv:ConsentGiven",
  withdrawn: "dpv:ConsentWithdrawn",
  refused: "dpv:ConsentRefused",
  objected: "dpv:ConsentStatusInvalidForProcessing",
};
const CONSENTS = ["PECR Schedule A1 paragraph 2", "Directive 2002/58/EC Article 5(3), consent"];
const BASES = [
  ...CONSENTS, "PECR Schedule A1 paragraph 4", "PECR Schedule A1 paragraph 5",
  "Directive 2002/58/EC Article 5(3), strictly necessary",
];
const KEY = /^[a-z][a-z0-9-]{0,23}$/;
const HASH = /^[0-9a-f]{64}$/;
const DAY = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;
const SECOND = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$/;
/** @type {Record<string, RegExp>} */
const FIELDS = {
  schema: new RegExp(`^${RECORD_SCHEMA}$`),
  site: KEY,
  controller: /^[^\x00-\x1f\x7f]{1,300}$/u,
  notice: HASH,
  notice_effective: DAY,
  bundle: HASH,
  language: /^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$/,
  method: /^(banner-accept-all|banner-reject-all|preferences|no-js-form|gpc|api|handover)$/,
  event: /^(given|refused|withdrawn|changed|objected|erased)$/,
  valid_until: DAY,
};

/**
 * Every check of a receipt under the log's public keys (the text of log.vkey; "" when there is none).
 * Throws a Fault for what is no receipt, or no key.
 * @param {Uint8Array} content
 * @param {string} keys
 * @returns {Promise<{ document: Node, newest: Node, checks: Check[] }>}
 */
export async function check(content, keys) {
  if (!globalThis.crypto?.subtle) throw new Fault("no_crypto");
  const known = await readKeys(keys);
  const { document, events } = read(content);
  const newest = /** @type {Evidence} */ (events.at(-1));
  const checks = [
    await told("records", () => records(events)),
    await told("facts", () => facts(document, events)),
    await told("entries", () => entries(document, events)),
    await told("checkpoint", () => checkpoints(events, known)),
    await told("seal", () => seal(document, known)),
  ];
  return { document, newest: newest.record, checks };
}

/** @param {string} name @param {() => unknown} holds @returns {Promise<Check>} */
async function told(name, holds) {
  try {
    const facts = /** @type {Record<string, string>} */ (await holds());
    return { name, ok: true, code: `said_${name}`, facts };
  } catch (error) {
    const fault = error instanceof Fault ? error : new Fault("differs", { place: name });
    return { name, ok: false, code: fault.code, facts: fault.facts };
  }
}

// -- the file ---------------------------------------------------------------------------------------------------------

/** @param {Uint8Array} content @returns {{ document: Node, events: Evidence[] }} */
function read(content) {
  if (content.length > LONGEST) throw new Fault("too_long", { bytes: LONGEST });
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content);
  } catch {
    throw new Fault("not_json");
  }
  const document = readObject(text);
  if (document["@type"] !== "dpv:ConsentReceipt") throw new Fault("not_receipt");
  const events = document["dpv:hasRecordOfActivity"]?.["dpv:hasConsentStatus"];
  if (!Array.isArray(events) || events.length < 1 || events.length > MOST_EVENTS) {
    throw new Fault("number_of_events", { most: MOST_EVENTS });
  }
  return { document, events: events.map(readEvent) };
}

/** An object that names nothing twice: whoever reads it must read the same. @param {string} text @returns {Node} */
function readObject(text) {
  let found;
  let names = 0;
  try {
    found = JSON.parse(text, (_, value) => {
      if (isObject(value)) names += Object.keys(value).length;
      return value;
    });
  } catch {
    throw new Fault("not_json");
  }
  if (!isObject(found)) throw new Fault("not_json");
  const written = [...text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/gs)].filter((token) => token[1]).length;
  if (written !== names) throw new Fault("twice");
  return found;
}

/** @param {unknown} event @returns {Evidence} */
function readEvent(event) {
  if (!isObject(event)) throw new Fault("event", { name: "@type" });
  if (!("app:proof" in event) && "app:record" in event) throw new Fault("unsigned");
  const [text, nonce, proof] = ["app:record", "app:nonce", "app:proof"].map((name) => {
    const value = event[name];
    if (typeof value !== "string" || !isWell(value)) throw new Fault("event", { name });
    return value;
  });
  const found = { text: text ?? "", nonce: from64(nonce ?? "", "event", { name: "app:nonce" }) };
  return { ...found, record: readObject(found.text), proof: readProof(proof ?? "") };
}

// -- the checks -------------------------------------------------------------------------------------------------------

/** @param {Evidence[]} events */
function records(events) {
  for (const { text, record, proof } of events) {
    requireSchema(record);
    if (canonical(record) !== text) throw new Fault("record_canonical", { entry: proof.index });
  }
  const newest = lastRecord(events);
  if (events.some(({ record }) => record.id !== newest.id)) throw new Fault("record_ids");
  return { count: String(events.length), event: newest.event, time: newest.time };
}

/** @param {Node} document @param {Evidence[]} events */
function facts(document, events) {
  for (const { record } of events) requireSchema(record);
  if (!("id" in lastRecord(events))) throw new Fault("no_id");
  const said = stated(events.map(({ record }) => record), /** @type {Evidence} */ (events.at(-1)).proof.index);
  compare(said, document, "");
  return {};
}

/** @param {Node} document @param {Evidence[]} events */
async function entries(document, events) {
  const places = events.map(({ proof }) => proof.index);
  const logs = events.map(({ proof }) => readCheckpoint(readNote(proof.checkpoint).text).origin);
  const comesLater = (/** @type {number} */ at) =>
    logs[at] === logs[at - 1] ? (places[at] ?? 0) > (places[at - 1] ?? 0) : (logs[at] ?? "") > (logs[at - 1] ?? "");
  if (places.some((_, at) => at > 0 && !comesLater(at))) throw new Fault("order");
  const shown = document["dpv:hasRecordOfActivity"]["dpv:hasConsentStatus"];
  let size = 0;
  for (const [at, { text, nonce, proof }] of events.entries()) {
    if (shown[at]["app:entry"] !== proof.index) throw new Fault("entry_number", { entry: proof.index });
    if (to64(nonce) !== to64(proof.nonce)) throw new Fault("nonce", { entry: proof.index });
    const entry = await sha256(bytes(TAG), nonce, bytes(text));
    const checkpoint = readCheckpoint(readNote(proof.checkpoint).text);
    await requireIncluded(entry, proof, checkpoint);
    size = checkpoint.size;
  }
  return { entries: places.join(", "), size: String(size) };
}

/** @param {Evidence[]} events @param {Key[]} known */
async function checkpoints(events, known) {
  if (!known.length) throw new Fault("no_key");
  let newest = { origin: "", size: 0 };
  for (const { proof } of events) {
    newest = readCheckpoint(readNote(proof.checkpoint).text);
    const keys = await covering(newest.origin, known);
    if (!keys.some(({ name }) => name === newest.origin)) {
      throw new Fault("other_log", { origin: newest.origin, name: known[0]?.name ?? "" });
    }
    await requireSigned(proof.checkpoint, keys);
  }
  return { origin: newest.origin, size: String(newest.size) };
}

/** @param {Node} document @param {Key[]} known */
async function seal(document, known) {
  const { "app:seal": note, ...rest } = document;
  if (typeof note !== "string") throw new Fault("no_seal");
  const digest = to64(await sha256(bytes(canonical(rest))));
  if (readNote(note).text !== `consent-app/receipt/v1\n${digest}\n`) throw new Fault("changed");
  if (!known.length) throw new Fault("no_key");
  await requireSigned(note, known);
  return { made: String(document["dct:created"]).slice(0, 40) };
}

// -- what records say, and where a document departs from it -----------------------------------------------------------

/** @param {Node} record */
function requireSchema(record) {
  const fault = (/** @type {string} */ name) => new Fault("record_schema", { name });
  const allowed = [...Object.keys(FIELDS), "decisions", "time", "id"];
  for (const name of Object.keys(record)) if (!allowed.includes(name)) throw fault(name);
  for (const [name, pattern] of Object.entries(FIELDS)) if (!fits(record[name], pattern)) throw fault(name);
  if ("id" in record && !fits(record.id, /^[0-9a-f]{32}$/)) throw fault("id");
  if (!fits(record.time, "id" in record ? SECOND : DAY)) throw fault("time");
  for (const name of ["notice_effective", "time", "valid_until"]) if (!isOnCalendar(record[name])) throw fault(name);
  const decisions = isObject(record.decisions) ? Object.entries(record.decisions) : [];
  const whole = decisions.every(
    ([key, one]) =>
      KEY.test(key) && isObject(one) && Object.keys(one).sort().join() === "allowed,basis" &&
      typeof one.allowed === "boolean" && BASES.includes(one.basis),
  );
  if (!whole || decisions.length < 1 || decisions.length > 8) throw fault("decisions");
}

/** What records of one id say by themselves, where a receipt says it. @param {Node[]} told @param {number} entry */
function stated(told, entry) {
  const newest = /** @type {Node} */ (told.at(-1));
  const holder = `urn:consent-app:holder:${newest.id}`;
  const controller = `urn:consent-app:controller:${newest.site}`;
  const bases = Object.values(newest.decisions).map((decision) => decision.basis);
  return {
    "@context": CONTEXT,
    "@id": `urn:consent-app:receipt:${newest.id}-${entry}`,
    "@type": "dpv:ConsentReceipt",
    "dct:identifier": `${newest.id}-${entry}`,
    "dct:conformsTo": `${PROFILE}receipt`,
    "dct:publisher": controller,
    "dpv:hasRecordOfActivity": {
      "@id": `urn:consent-app:record:${newest.id}`,
      "@type": "dpv:ConsentRecord",
      "dct:identifier": newest.id,
      "dct:conformsTo": [`${PROFILE}record`, RECORD_SCHEMA],
      "dpv:hasDataSubject": { "@id": holder, "@type": "dpv:DataSubject", "dct:identifier": newest.id },
      "dpv:hasDataController": {
        "@id": controller,
        "@type": "dpv:DataController",
        "dct:identifier": newest.site,
        "dpv:hasName": newest.controller,
        "dpv:hasAddress": noticeName(newest.notice),
      },
      "dpv:hasNotice": statedNotice(newest),
      "dpv:hasJurisdiction": bases.some((basis) => basis.startsWith("PECR")) ? "loc:GB" : "loc:EU",
      "dpv:hasProcess": Object.keys(newest.decisions).sort().map((key) => statedProcess(key, told)),
      "dpv:hasConsentStatus": told.map(statedEvent),
    },
  };
}

/** @param {string} key @param {Node[]} told */
function statedProcess(key, told) {
  const { allowed, basis } = told.at(-1)?.decisions[key];
  const consent = CONSENTS.includes(basis);
  const earlier = told.slice(0, -1).some((record) => record.decisions[key]?.allowed);
  const state = allowed ? "given" : earlier ? "withdrawn" : "refused";
  return {
    "@type": "dpv:Process",
    "dct:identifier": key,
    "app:allowed": allowed,
    "dpv:hasLegalBasis": { "@type": consent ? "dpv:ExpressedConsent" : "dpv:LegalBasis", "dct:title": basis },
    ...(consent ? { "dpv:hasConsentStatus": { "@id": STATES[state] } } : {}),
  };
}

/** @param {Node} record */
function statedEvent(record) {
  const state = STATES[record.event];
  if (!state) throw new Fault("record_schema", { name: "event" });
  return {
    "@type": state,
    "app:event": record.event,
    "app:record": canonical(record),
    "dpv:isIndicatedAtTime": record.time,
    "dpv:isIndicatedBy": `urn:consent-app:holder:${record.id}`,
    "dpv:hasIndicationMethod": record.method,
    "dpv:hasDuration": {
      "@type": "dpv:UntilTimeDuration",
      "rdf:value": { "@value": record.valid_until, "@type": "xsd:date" },
    },
    "dpv:hasNotice": statedNotice(record),
  };
}

/** @param {Node} record */
function statedNotice(record) {
  return {
    "@id": noticeName(record.notice),
    "@type": "dpv:ConsentNotice",
    "app:sha256": record.notice,
    "dct:language": record.language,
    "dct:date": record.notice_effective,
  };
}

/** A text's name by its hash (RFC 6920). @param {string} hex */
function noticeName(hex) {
  const hash = Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  return `ni:///sha-256;${to64(hash).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}`;
}

/** @param {any} said @param {any} found @param {string} place */
function compare(said, found, place) {
  if (isObject(said) && isObject(found)) {
    const stranger = Object.keys(found).sort().find((name) => !Object.hasOwn(said, name) && !DECLARED.has(name));
    if (stranger !== undefined) throw new Fault("unbacked", { place: place + stranger.slice(0, 60) });
    for (const [name, value] of Object.entries(said)) {
      if (!Object.hasOwn(found, name)) throw new Fault("missing", { place: place + name });
      compare(value, found[name], `${place}${name} > `);
    }
  } else if (Array.isArray(said) && Array.isArray(found) && said.length === found.length) {
    said.forEach((value, at) => compare(value, found[at], `${place}${at + 1} > `));
  } else if (said !== found) {
    throw new Fault("differs", { place: place.replace(/ > $/, "") });
  }
}

/** @param {unknown} value @param {RegExp} pattern */
const fits = (value, pattern) => typeof value === "string" && pattern.test(value);

/** @param {string} time */
function isOnCalendar(time) {
  const full = time.length === 10 ? `${time}T00:00:00Z` : time;
  const found = new Date(full);
  return !Number.isNaN(found.valueOf()) && found.toISOString() === full.replace("Z", ".000Z") && !full.startsWith("0000");
}

/** @param {Evidence[]} events @returns {Node} */
const lastRecord = (events) => /** @type {Evidence} */ (events.at(-1)).record;
