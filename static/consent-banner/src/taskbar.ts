// The embed: <script async src="…/taskbar.js" data-site="…"></script>. Fetches the gate and the site's config at once, and
// with them what shows a banner, unless there seems to be a choice.

/** The files' names, which the build puts here. */
declare const GATE: string;
declare const UI: string;

const tag = document.currentScript as HTMLScriptElement;
const service = new URL(tag.src).origin;
const site = `${service}/v1/sites/${tag.dataset.site}/`;
const files = service + "/static/consent-banner/";

const early = (rel: string, href: string): void =>
  document.head.append(Object.assign(document.createElement("link"), { rel, href, as: rel > "n" ? "style" : "" }));

let kept = document.cookie;
try {
  kept += localStorage.consent;
} catch {
  // Then there is no choice.
}
early("modulepreload", files + GATE);
if (!kept.match(/consent=|value/)) {
  early("modulepreload", files + UI);
  early("preload", site + "look.css");
  fetch(site + "banner");
}
fetch(site + "config")
  .then((answer) => answer.text())
  .then(async (config) => {
    // What waits for a choice may not be in the page yet.
    if (document.readyState === "loading") await new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve));
    tag.dataset.consent = config;
    await import(files + GATE);
  })
  .catch((detail: unknown) => document.dispatchEvent(new CustomEvent("consent:error", { detail })));
