// Our banner and its peers, loaded in turn in one run in real Chromium, each measured the same way.
//
//     node bench/banner.mjs [LOADS [NAME …]]     LOADS of each for every median, 9 by default; all banners or these
//
// Bytes are everything a page asks for because of the banner (scripts, styles, texts, markup), part by part: raw, gzip 9,
// brotli 11; of a first visit until a second after the banner shows, and of a visit after "reject". Script CPU is
// Chromium's own ScriptDuration, in processor time of the page's thread, less that of the page without a banner. Time to
// visible is when the reject button can be seen in the window, over a line of 40 ms and 10 Mbit/s, served compressed; the
// peers' files come out of memory, and so does what our service marks as public, after its first answer. Before any figure
// is printed each banner must show, take both answers and remember them, and let a waiting script run after one only.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { Chromium } from "./peers/chromium.mjs";
import { control, ours, page, peers } from "./peers/pages.mjs";

const LOADS = Number(process.argv[2] ?? 9);
const PROGRAM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const ROOT = new URL("..", import.meta.url).pathname;
const AXE = readFileSync(new URL("peers/node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const LINE = { offline: false, latency: 40, downloadThroughput: 1_250_000, uploadThroughput: 1_250_000 };
const SETTLE = 1000; // milliseconds a banner is given to end its animations
const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));
const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const squeezed = new Map();
const brotli = (body) => {
  const key = body.toString("latin1");
  if (!squeezed.has(key)) squeezed.set(key, brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: body.length } }));
  return squeezed.get(key);
};
const total = (parts) => ({
  requests: parts.length, // the page itself among them
  raw: parts.reduce((sum, { body }) => sum + body.length, 0),
  gzip: parts.reduce((sum, { body }) => sum + gzipSync(body, { level: 9 }).length, 0),
  brotli: parts.reduce((sum, { body }) => sum + brotli(body).length, 0),
});

// --- servers ------------------------------------------------------------------------------------------------------------

/** The real application on a data home of its own, whose sites have their pages on this bench's port. */
async function service(port, own) {
  const home = mkdtempSync(join(tmpdir(), "banner-bench-home-"));
  const env = { ...process.env, CONSENT_HOME: home + "/home", CONSENT_TRUSTED_PROXIES: "1", CONSENT_PUBLIC_URL: `http://consent.localhost:${port}`,
    CONSENT_BIND: `127.0.0.1:${own}`, CONSENT_DECISIONS_PER_MINUTE: "10000" };
  const run = (...words) => spawn(`${ROOT}.venv/bin/consent`, words, { env, stdio: "ignore" });
  await new Promise((resolve) => run("init").on("exit", resolve));
  const sites = `${env.CONSENT_HOME}/sites.toml`;
  writeFileSync(sites, readFileSync(sites, "utf8").replaceAll(".localhost:8000", `.localhost:${port}`));
  const process_ = run("serve");
  for (let tries = 0; !(await fetch(`http://127.0.0.1:${own}/healthz`).then((answer) => answer.ok, () => false)); tries++) {
    if (tries > 600) throw new Error("the application did not start; try `consent serve` by hand");
    await sleep(100);
  }
  return async () => {
    const ended = new Promise((resolve) => process_.on("exit", resolve));
    process_.kill();
    await ended;
    rmSync(home, { recursive: true, force: true });
  };
}

/** What was served to a candidate's page because of its banner, until it is taken. */
const served = [];
const take = () => served.splice(0);

function answer(response, request, status, type, body, more = {}) {
  const small = /br/.test(request.headers["accept-encoding"] ?? "") && body.length > 0;
  response.writeHead(status, { ...more, "content-type": type, vary: "accept-encoding", ...(small && { "content-encoding": "br" }) });
  response.end(small ? brotli(body) : body);
}

/** What the service lets caches keep, as a proxy before it does: its own files come out of memory, as the peers' do. */
const cached = new Map();
const VARIES = ["accept-language", "sec-gpc", "dnt", "origin"];

async function handOn(request, response, own) {
  const key = [request.method, request.headers.host, request.url, ...VARIES.map((name) => request.headers[name] ?? "")].join(" ");
  const kept = cached.get(key);
  if (kept) {
    served.push({ url: request.url, body: kept.body });
    return answer(response, request, 200, kept.type, kept.body, kept.more);
  }
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const headers = { ...request.headers, "x-forwarded-host": request.headers.host, "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http" };
  for (const name of ["host", "connection", "accept-encoding", "content-length"]) delete headers[name];
  const got = await fetch(`http://127.0.0.1:${own}${request.url}`, { method: request.method, headers, ...(chunks.length && { body: Buffer.concat(chunks) }) });
  const body = Buffer.from(await got.arrayBuffer());
  if (request.method === "GET") served.push({ url: request.url, body });
  const more = Object.fromEntries([...got.headers].filter(([name]) => /^(cache-control|access-control|cross-origin|set-cookie)/.test(name)));
  if (got.headers.getSetCookie().length) more["set-cookie"] = got.headers.getSetCookie();
  const type = got.headers.get("content-type") ?? "text/plain";
  if (request.method === "GET" && got.status === 200 && /\bpublic\b/.test(more["cache-control"])) cached.set(key, { body, type, more });
  answer(response, request, got.status, type, body, more);
}

const OF_OURS = /^\/(v1\/|static\/|taskbar\.js|consent$|cookies)/;

/** Every candidate on a host of its own, and our service on another. */
function serve(candidates, own) {
  return createServer((request, response) => handle(request, response).catch((error) => response.destroy(error)));

  async function handle(request, response) {
    const candidate = candidates().find(({ host }) => request.headers.host.startsWith(host + "."));
    const file = candidate?.files[request.url.split("?")[0]];
    if (file) {
      served.push({ url: request.url, body: file });
      answer(response, request, 200, /\.css\b/.test(request.url) ? "text/css" : "text/javascript", file, { "cache-control": "max-age=3600" });
    } else if (OF_OURS.test(request.url) && (!candidate || candidate.site === "kent")) {
      await handOn(request, response, own());
    } else if (candidate && request.url === "/") {
      const markup = await candidate.markup(request);
      if (markup) served.push({ url: "(markup)", body: Buffer.from(markup) });
      answer(response, request, 200, "text/html", Buffer.from(page((candidate.waiting ?? "") + markup)), { "cache-control": "no-store" });
    } else answer(response, request, 404, "text/plain", Buffer.from("no"));
  }
}

// --- what is looked at --------------------------------------------------------------------------------------------------

const seen = (selector) => `(() => { const e = document.querySelector(${JSON.stringify(selector)});
  if (!e?.checkVisibility?.({ opacityProperty: true, visibilityProperty: true })) return false;
  const r = e.getBoundingClientRect(); return r.width > 0 && r.top < innerHeight && r.bottom > 0 && r.left < innerWidth && r.right > 0; })()`;
const until = async (tab, expression, what) => {
  for (let tries = 0; tries < 200; tries++) {
    if (await tab.run(expression)) return;
    await sleep(50);
  }
  throw new Error(`never came true: ${what}`);
};
const WATCH = (selector) => `{ const look = () => { if (${seen(selector)}) window.seenAt ??= performance.now(); else requestAnimationFrame(look); }; requestAnimationFrame(look); }
  window.shift = 0; new PerformanceObserver((list) => { for (const e of list.getEntries()) window.shift += e.value; }).observe({ type: "layout-shift", buffered: true });`;
const BEFORE = `(async () => ({ local: Object.keys(localStorage), session: Object.keys(sessionStorage),
  databases: (await indexedDB.databases()).map(({ name }) => name) }))()`;
const LOOK = (selector) => `(() => { const e = document.querySelector(${JSON.stringify(selector)}), s = getComputedStyle(e), r = e.getBoundingClientRect();
  return { tag: e.tagName, width: r.width, height: r.height, colour: s.color, background: s.backgroundColor, border: s.borderTopColor + s.borderTopWidth, font: s.font }; })()`;

/** "yes", or what differs between the two answers. */
function equal(a, b) {
  const off = Object.keys(a).filter((name) => (typeof a[name] === "number" ? Math.abs(a[name] - b[name]) > 1 : a[name] !== b[name]));
  return off.length ? `no: ${off.join(", ")}` : "yes";
}

/** A choice made by a click: the banner goes, stays away, and the waiting script runs after "accept" only. */
async function choose(browser, candidate, answered) {
  const visitor = await browser.fresh();
  const ran = candidate.ran ?? "window.ran === true";
  let tab = await visitor.open();
  await tab.go(candidate.url);
  await until(tab, seen(candidate[answered]), `${candidate.name} shows ${answered}`);
  if (await tab.run(ran)) throw new Error(`${candidate.name}: the waiting script ran before a choice`);
  await sleep(SETTLE);
  await tab.run(`document.querySelector(${JSON.stringify(candidate[answered])}).click()`);
  await until(tab, `!${seen(candidate[answered])}`, `${candidate.name} goes after ${answered}`);
  await sleep(SETTLE / 2);
  tab = await visitor.open();
  take();
  await tab.go(candidate.url, { caching: false });
  await sleep(SETTLE);
  const again = take();
  if (await tab.run(seen(candidate[answered]))) throw new Error(`${candidate.name} asks again after ${answered}`);
  if ((await tab.run(ran)) !== (answered === "accept")) throw new Error(`${candidate.name}: the waiting script is wrong after ${answered}`);
  await visitor.leave();
  return again;
}

/** A first visit, looked at closely: bytes, what is kept, how the answers look, what axe-core finds. */
async function firstVisit(browser, candidate) {
  const visitor = await browser.fresh();
  const tab = await visitor.open();
  take();
  await tab.go(candidate.url);
  if (!candidate.control) await until(tab, seen(candidate.reject), `${candidate.name} shows`);
  await sleep(SETTLE);
  const parts = take();
  const kept = await tab.run(BEFORE);
  const strangers = new Set(tab.requests.map((url) => new URL(url).hostname).filter((host) => !host.endsWith(".localhost")));
  const before = [...(await visitor.cookies()).map((name) => `cookie ${name}`), ...kept.local.map((name) => `local ${name}`),
    ...kept.session.map((name) => `session ${name}`), ...kept.databases.map((name) => `database ${name}`), ...[...strangers].map((host) => `request ${host}`)];
  const same = candidate.control ? "" : equal(await tab.run(LOOK(candidate.accept)), await tab.run(LOOK(candidate.reject)));
  await tab.run(AXE);
  const found = await tab.run("axe.run(document, { resultTypes: ['violations'] }).then((all) => all.violations.map(({ id, nodes }) => `${id} (${nodes.length})`))");
  await visitor.leave();
  return { ...total(parts), parts, before, same, axe: found };
}

async function timed(browser, candidate) {
  const visitor = await browser.fresh();
  const tab = await visitor.open();
  await tab.go(candidate.url, { before: WATCH(candidate.reject), network: LINE });
  await until(tab, "window.seenAt > 0", `${candidate.name} shows`);
  await sleep(SETTLE);
  const figures = await tab.run("({ visible: seenAt, shift, painted: performance.getEntriesByName('first-contentful-paint')[0]?.startTime })");
  await visitor.leave();
  return figures;
}

async function cpu(browser, candidate) {
  const visitor = await browser.fresh();
  const tab = await visitor.open();
  await tab.go(candidate.url);
  await sleep(2 * SETTLE); // looking costs script too, so look once the banner should be there
  if (!candidate.control) await until(tab, seen(candidate.reject), `${candidate.name} shows`);
  const spent = await tab.cpu();
  await visitor.leave();
  return spent;
}

async function measure(browser, candidates) {
  for (const candidate of candidates.filter((each) => !each.control)) {
    console.error(`  checking ${candidate.name}`);
    await choose(browser, candidate, "accept");
    candidate.returning = total(await choose(browser, candidate, "reject"));
  }
  for (const candidate of candidates) Object.assign(candidate, await firstVisit(browser, candidate), { spent: [], times: [] });
  // In turn, so that what else the machine does falls on all of them alike.
  for (let load = 0; load < LOADS; load++)
    for (const candidate of candidates) {
      candidate.spent.push(await cpu(browser, candidate));
      if (!candidate.control) candidate.times.push(await timed(browser, candidate));
    }
}

// --- the table ----------------------------------------------------------------------------------------------------------

const COLUMNS = [
  ["raw", (c) => c.raw],
  ["gzip", (c) => c.gzip],
  ["brotli", (c) => c.brotli],
  ["again, brotli", (c) => c.returning.brotli],
  ["CPU ms", (c, base) => Math.max(0, median(c.spent) - base)],
  ["visible ms", (c) => median(c.times.map(({ visible }) => visible))],
  ["CLS", (c) => Math.max(...c.times.map(({ shift }) => shift))],
  ["axe", (c) => c.axe.length],
  ["kept before", (c) => c.before.length],
  ["equal", (c) => (c.same === "yes" ? 0 : 1)],
];
const shown = (name, value) => (name === "equal" ? (value ? "no" : "yes") : name === "CLS" ? value.toFixed(3) : name === "CPU ms" ? value.toFixed(1) : String(Math.round(value)));

function table(rows) {
  const widths = rows[0].map((_, at) => Math.max(...rows.map((row) => row[at].length)));
  for (const row of rows) console.log(row.map((cell, at) => (at ? cell.padStart(widths[at]) : cell.padEnd(widths[at]))).join("  "));
}

/** Where a row of ours is not the best, or as good: by how much. */
function behind(row, others, base) {
  return COLUMNS.flatMap(([name, figure]) => {
    const mine = figure(row, base);
    const best = others.toSorted((a, b) => figure(a, base) - figure(b, base))[0];
    return mine > figure(best, base) ? [`${row.name}: ${name} ${shown(name, mine)}, ${best.name} ${shown(name, figure(best, base))}`] : [];
  });
}

function report(candidates) {
  const base = median(candidates.find(({ control }) => control).spent);
  const rows = candidates.filter(({ control }) => !control);
  table([["", ...COLUMNS.map(([name]) => name)], ...rows.map((row) => [`${row.name} ${row.version}`, ...COLUMNS.map(([name, figure]) => shown(name, figure(row, base)))])]);
  console.log(`\nmedians of ${LOADS} loads each; a page without a banner takes ${base.toFixed(1)} ms of script (taken off); axe-core on it: ${candidates.find(({ control }) => control).axe.length}`);
  for (const row of rows) {
    const notes = [...row.before, ...row.axe.map((rule) => `axe ${rule}`), ...(row.same === "yes" ? [] : [`answers not equal (${row.same.slice(4)})`])];
    const paint = median(row.times.map(({ painted }) => painted));
    console.log(`  ${row.name}: first paint ${Math.round(paint)} ms; ${row.requests - 1} requests; ${row.parts.map(({ url, body }) => `${url} ${brotli(body).length}`).join(" + ")}${notes.length ? "; " + notes.join("; ") : ""}`);
  }
  const others = rows.filter(({ site }) => !site);
  const late = rows.filter(({ site }) => site).flatMap((row) => behind(row, others, base));
  console.log(late.length ? `\nnot leading:\n  ${late.join("\n  ")}` : "\nours leads every column, both ways");
}

async function main() {
  let own = 0;
  let candidates = [];
  const http = serve(() => candidates, () => own);
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  const { port } = http.address();
  own = await new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const free = probe.address().port;
      probe.close(() => resolve(free));
    });
  });
  const insert = async (request) => {
    const headers = { cookie: request.headers.cookie ?? "", "accept-language": "en" };
    return (await fetch(`http://127.0.0.1:${own}/v1/sites/kent/insert?page=/`, { headers })).text();
  };
  const wanted = ({ name }) => !process.argv[3] || process.argv.slice(3).some((part) => name.startsWith(part));
  candidates = [control, ...[...ours(insert, `http://consent.localhost:${port}`), ...peers].filter(wanted)];
  for (const [at, each] of candidates.entries()) each.host = each.site ?? (each.control ? "control" : `peer${at}`);
  for (const each of candidates) each.url = `http://${each.host}.localhost:${port}/`;
  const stop = await service(port, own);
  const browser = new Chromium(PROGRAM);
  try {
    await measure(browser, candidates);
    report(candidates);
  } finally {
    await browser.close();
    await stop();
    http.close();
    http.closeAllConnections();
  }
}

await main();
