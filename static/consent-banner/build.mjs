// Builds dist/: hashed names, their SRI hashes and sizes. The same source gives the same bytes; past a budget it fails.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants } from "node:zlib";
import { minify } from "terser";

const here = new URL(".", import.meta.url);
const dist = new URL("dist/", here);
const BUDGETS = { returning: 2000, first: 5000 };
const FRAGMENT = 600; // what the rendered banner may take of `first`; tests/web/test_banner.py holds it to that

const squeezed = (content) =>
  brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length } }).length;

/**
 * Names in a fixed order: brotli finds more to share than in the order of how often letters occur. Which order is best
 * changes with the source by a hundredth, so each of these is tried; they were found by trying many.
 */
const ALPHABETS = ["abcdefghijklmnopqrstuvwxyz", "tlgvnrwjdpzqfchauybxmsekio", "molkhnwvtqeudfrigjyczbxsap", "ivtuongyempqjdxrhkbwzclsfa",
  "iydoncrxluskbvmqathefjzwgp", "xdysnviwutbkeqocalfrgpjmhz", "spadmnkicglzwxtjburyevhofq", "iyeuncrjdoxqzbmkawhpfsvlgt",
  "diuotnpeghaqwbrmzcjvfyxksl"];
const named = (letters) => ({
  get(number) {
    let name = "";
    for (number++; number > 0; number = Math.floor(number / letters.length)) name += letters[--number % letters.length];
    return name;
  },
});

/** One file from its entry: esbuild puts it together, terser makes scripts short, which it does a fortieth better. */
async function bundle(entry, options = {}) {
  const style = entry.endsWith(".css");
  const result = await build({
    entryPoints: [new URL(`src/${entry}`, here).pathname],
    bundle: true,
    minify: style,
    format: "esm",
    target: ["es2022", "chrome105", "firefox115", "safari16"],
    charset: "utf8",
    legalComments: "none",
    external: ["./*.js"],
    write: false,
    ...options,
  });
  const content = Buffer.from(result.outputFiles[0].contents);
  if (style) return content;
  const compress = { passes: 3, ecma: 2020, unsafe_arrows: true };
  // One word for both: what is never assigned again is so by TypeScript's word already.
  const source = content.toString().replace(/\bconst(?= |\[|\{)/g, "let");
  const minified = ALPHABETS.map((letters) => minify(source, { module: true, compress, mangle: { toplevel: true, nth_identifier: named(letters) } }));
  const all = (await Promise.all(minified)).map(({ code }) => Buffer.from(code));
  return all.reduce((best, one) => (squeezed(one) < squeezed(best) ? one : best));
}

function hashed(name, content) {
  const [stem, kind] = name.split(".");
  return `${stem}.${createHash("sha256").update(content).digest("hex").slice(0, 10)}.${kind}`;
}

const parts = { "activity.js": await bundle("activity.ts"), "mode.js": await bundle("mode.ts", { format: "iife" }) };
for (const look of ["banner.css", "corner.css", "footer.css", "frame.css", "more.css"]) parts[look] = await bundle(look);
/** The address of a part, as a constant of the files that load it. */
const at = (name) => JSON.stringify("./" + hashed(name, parts[name]));
parts["waiting.js"] = await bundle("waiting.ts", { define: { FRAME_CSS: at("frame.css") } });
parts["gate.js"] = await bundle("gate.ts", { define: { WAITING: at("waiting.js") } });
parts["more.js"] = await bundle("more.ts", { define: { MORE_CSS: at("more.css"), WAITING: at("waiting.js") } });
parts["ui.js"] = await bundle("ui.ts", { define: { MORE: at("more.js") } });
const manifest = Object.fromEntries(Object.entries(parts).map(([name, content]) => [name, hashed(name, content)]));
const files = Object.fromEntries(Object.entries(parts).map(([name, content]) => [manifest[name], content]));
manifest["taskbar.js"] = "taskbar.js";
files["taskbar.js"] = await bundle("taskbar.ts", {
  format: "iife",
  define: { GATE: JSON.stringify(manifest["gate.js"]), UI: JSON.stringify(manifest["ui.js"]) },
});

const json = (value) => JSON.stringify(value, null, 2) + "\n";
const each = (make) => Object.fromEntries(Object.entries(files).map(([name, content]) => [name, make(content)]));
const sizes = each((content) => ({ bytes: content.length, brotli: squeezed(content) }));
const integrity = each((content) => "sha384-" + createHash("sha384").update(content).digest("base64"));
delete integrity["taskbar.js"]; // it names the current files, so it changes with them

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
for (const [name, content] of Object.entries(files)) writeFileSync(new URL(name, dist), content);
for (const [name, value] of Object.entries({ manifest, integrity, sizes })) writeFileSync(new URL(`${name}.json`, dist), json(value));

const brotli = (name) => sizes[manifest[name]].brotli;
const returning = brotli("gate.js");
const first = returning + brotli("ui.js") + brotli("banner.css");
console.table(sizes);
console.log(`returning visitor ${returning} of ${BUDGETS.returning} B · first visit ${first} + fragment (at most ${FRAGMENT}) of ${BUDGETS.first} B`);
console.log(`on need: links, downloads, goals, search, funnels ${brotli("activity.js")} B · waiting scripts and frames ${brotli("waiting.js")} B (docs/adr/0020)`);
if (returning > BUDGETS.returning || first + FRAGMENT > BUDGETS.first) {
  console.error("over budget: see BUDGETS in build.mjs");
  process.exit(1);
}
