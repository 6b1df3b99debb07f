// The embed: <script async src="…/taskbar.js" data-site="…"></script>. Fetches the gate and the site's config at once.
import type { Config } from "./types.ts";

/** The gate's file, whose name the build puts here. */
declare const GATE: string;

const tag = document.currentScript as HTMLScriptElement;
const { origin } = new URL(tag.src);
Promise.all([
  import(`${origin}/static/consent-banner/${GATE}`) as Promise<{ start(config: Config): void }>,
  fetch(`${origin}/v1/sites/${tag.dataset.site}/config`).then((answer) => answer.json() as Promise<Config>),
])
  .then(([gate, config]) => {
    // What waits for a choice may not be in the page yet.
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => gate.start(config));
    else gate.start(config);
  })
  .catch((detail: unknown) => document.dispatchEvent(new CustomEvent("consent:error", { detail })));
