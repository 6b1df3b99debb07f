// @ts-check
// The page that checks a receipt: takes a file, a pasted text or the link of a receipt, and says what was found.
import { check } from "./receipt-check.js";
import { Fault } from "./receipt-log.js";

/** @type {Record<string, string>} */
const words = JSON.parse(document.getElementById("words")?.textContent ?? "{}");
const PATIENCE = 10;

/** @template {HTMLElement} T @param {string} id @param {new () => T} kind @returns {T | null} */
function maybe(id, kind) {
  const found = document.getElementById(id);
  return found instanceof kind ? found : null;
}

/** @template {HTMLElement} T @param {string} id @param {new () => T} kind @returns {T} */
function part(id, kind) {
  const found = maybe(id, kind);
  if (!found) throw new Error(`the page has no ${id}`);
  return found;
}

const form = part("form", HTMLFormElement);
const file = part("file", HTMLInputElement);
const pasted = part("text", HTMLTextAreaElement);
const key = part("key", HTMLTextAreaElement);
const title = part("result-title", HTMLHeadingElement);
const verdict = part("verdict", HTMLParagraphElement);
const newest = part("newest", HTMLParagraphElement);
const list = part("checks", HTMLUListElement);
const serverKey = maybe("server-key", HTMLButtonElement);

/** The key that this server gave; "" when none did. */
let given = "";
/** Which check was asked for last: only its answer is shown. */
let turn = 0;

/** @param {string} name @param {Record<string, string>} [facts] @returns {string} */
function say(name, facts = {}) {
  return (words[name] ?? name).replace(/\{(\w+)\}/g, (whole, place) => facts[place] ?? whole);
}

/** @param {string} text @param {"" | "good" | "bad"} [look] */
function conclude(text, look = "") {
  verdict.className = `verdict-line ${look}`;
  verdict.textContent = text;
  title.scrollIntoView({ block: "nearest" });
}

/** Take away what was found before. @param {string} text */
function begin(text) {
  title.hidden = false;
  newest.textContent = "";
  list.replaceChildren();
  conclude(text);
  return (turn += 1);
}

/** @param {Uint8Array} content */
async function run(content) {
  const mine = begin(say("working"));
  try {
    const found = await check(content, key.value);
    if (mine === turn) show(found);
  } catch (error) {
    if (mine === turn) refuse(error);
  }
}

/** @param {unknown} error */
function refuse(error) {
  const fault = error instanceof Fault ? error : new Fault("not_json");
  const alone = ["no_crypto", "key", "empty", "not_here", "no_answer", "link"].includes(fault.code);
  conclude(alone ? sentence(say(fault.code, fault.facts)) : `${say("none")} ${sentence(say(fault.code, fault.facts))}`, "bad");
}

/** @param {{ document: Record<string, any>, newest: Record<string, any>, checks: import("./receipt-check.js").Check[] }} found */
function show({ document: receipt, newest: record, checks }) {
  const failed = checks.filter(({ ok }) => !ok);
  if (!failed.length) {
    conclude(say(key.value.trim() === given.trim() ? "good_own_key" : "good"), "good");
  } else if (failed.every(({ code }) => code === "no_key" || code === "no_ed25519")) {
    conclude(failed[0]?.code === "no_key" ? say("unproved") : sentence(say("no_ed25519")));
  } else {
    conclude(say("bad"), "bad");
  }
  if (!failed.length) newest.textContent = summary(receipt, record);
  list.replaceChildren(...checks.map(line));
}

/** @param {import("./receipt-check.js").Check} one */
function line({ name, ok, code, facts }) {
  const item = document.createElement("li");
  const parts = /** @type {const} */ ([["strong", say(ok ? "ok" : "fail")], ["span", say(`check_${name}`)], ["span", sentence(say(code, facts))]]);
  item.className = ok ? "" : "failed";
  for (const [tag, text] of parts) {
    const made = document.createElement(tag);
    made.textContent = text;
    item.append(made, " ");
  }
  return item;
}

/** What was decided, in one line. @param {Record<string, any>} receipt @param {Record<string, any>} record */
function summary(receipt, record) {
  const told = receipt["dpv:hasRecordOfActivity"]["dpv:hasProcess"].map((/** @type {any} */ process) => {
    const what = (process["dpv:hasService"] ?? process["dpv:hasPurpose"])?.["dct:title"];
    return `${what?.["@value"] ?? what}: ${say(process["app:allowed"] ? "allowed" : "refused")}`;
  });
  return `${record.controller}. ${told.join(" · ")} (${record.time})`;
}

/** @param {string} text */
const sentence = (text) => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;

/** @param {File} chosen */
async function runFile(chosen) {
  pasted.value = "";
  await run(new Uint8Array(await chosen.slice(0, 1_000_001).arrayBuffer()));
}

/** What a server of ours answers, asked again while it is not ready. @param {string} path @returns {Promise<Response>} */
async function fetched(path) {
  for (let tries = 0; ; tries += 1) {
    const answer = await fetch(new URL(path, location.href)).catch(() => null);
    if (!answer || answer.status >= 500) throw new Fault("no_answer");
    if (answer.status === 404) throw new Fault("not_here");
    if (answer.status !== 202 || tries === PATIENCE) return answer;
    await new Promise((done) => setTimeout(done, 1000));
  }
}

async function takeServerKey() {
  given = await (await fetched("log.vkey")).text();
  key.value = given;
}

/** The receipt that the address names after #; nobody is sent that part. */
async function runLink() {
  const named = /^#receipt=(.*)$/.exec(location.hash);
  if (!named || !serverKey) return;
  const mine = begin(say("fetching"));
  try {
    const id = idOf(named[1] ?? "");
    pasted.value = await (await fetched(`../v1/receipts/${id}.jsonld`)).text();
    if (!key.value.trim()) await takeServerKey();
    if (mine === turn) await run(new TextEncoder().encode(pasted.value));
  } catch (error) {
    if (mine === turn) refuse(error);
  }
}

/** @param {string} short The 16 bytes of an id in base64url. @returns {string} */
function idOf(short) {
  if (!/^[A-Za-z0-9_-]{22}$/.test(short)) throw new Fault("link");
  const letters = atob(short.replaceAll("-", "+").replaceAll("_", "/"));
  return Array.from(letters, (letter) => letter.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const chosen = file.files?.[0];
  if (pasted.value.trim()) void run(new TextEncoder().encode(pasted.value));
  else if (chosen) void runFile(chosen);
  else {
    begin("");
    refuse(new Fault("empty"));
  }
});
file.addEventListener("change", () => {
  const chosen = file.files?.[0];
  if (chosen) void runFile(chosen);
});
serverKey?.addEventListener("click", () => void takeServerKey().catch(refuse));
addEventListener("dragover", (event) => {
  event.preventDefault();
  form.classList.add("over");
});
addEventListener("dragleave", () => form.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  form.classList.remove("over");
  const dropped = event.dataTransfer?.files[0];
  if (dropped) void runFile(dropped);
});
addEventListener("hashchange", () => void runLink());
part("no-script", HTMLParagraphElement).hidden = true;
form.hidden = false;
void runLink();
