// Builds dist/: hashed names, their SRI hashes and sizes. The same source gives the same bytes; past a budget it fails.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants } from "node:zlib";

const here = new URL(".", import.meta.url);
const dist = new URL("dist/", here);
const BUDGETS = { returning: 2000, first: 5000 };
const FRAGMENT = 600; // what the rendered banner may take of `first`; tests/web/test_banner.py holds it to that

const squeezed = (content) =>
  brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length } }).length;

async function bundle(entry, options = {}) {
  const result = await build({
    entryPoints: [new URL(`src/${entry}`, here).pathname],
    bundle: true,
    minify: true,
    format: "esm",
    target: ["es2022", "chrome105", "firefox115", "safari16"],
    charset: "utf8",
    legalComments: "none",
    write: false,
    ...options,
  });
  return Buffer.from(result.outputFiles[0].contents);
}

function hashed(name, content) {
  const [stem, kind] = name.split(".");
  return `${stem}.${createHash("sha256").update(content).digest("hex").slice(0, 10)}.${kind}`;
}

const parts = { "activity.js": await bundle("activity.ts"), "mode.js": await bundle("mode.ts", { format: "iife" }) };
for (const look of ["banner.css", "corner.css", "footer.css", "more.css"]) parts[look] = await bundle(look);
const named = (name) => JSON.stringify("./" + hashed(name, parts[name]));
const gate = (activity) => bundle("gate.ts", { define: { ACTIVITY: activity }, external: ["./activity.*.js"] });
parts["gate.js"] = await gate(named("activity.js"));
parts["more.js"] = await bundle("more.ts", { define: { MORE_CSS: named("more.css") } });
parts["ui.js"] = await bundle("ui.ts", {
  define: { MORE: named("more.js") },
  external: ["./more.*"],
});
const manifest = Object.fromEntries(Object.entries(parts).map(([name, content]) => [name, hashed(name, content)]));
const files = Object.fromEntries(Object.entries(parts).map(([name, content]) => [manifest[name], content]));
manifest["taskbar.js"] = "taskbar.js";
files["taskbar.js"] = await bundle("taskbar.ts", {
  format: "iife",
  define: { GATE: JSON.stringify(manifest["gate.js"]) },
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
const whole = squeezed(await gate('"./activity.ts"'));
console.log(`page views ${returning} B, then activity ${brotli("activity.js")} B; as one file they would be ${whole} B (docs/adr/0020)`);
console.log(`returning visitor ${returning} of ${BUDGETS.returning} B · first visit ${first} + fragment (at most ${FRAGMENT}) of ${BUDGETS.first} B`);
if (returning > BUDGETS.returning || first + FRAGMENT > BUDGETS.first) {
  console.error("over budget: see BUDGETS in build.mjs");
  process.exit(1);
}
