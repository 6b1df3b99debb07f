// What tells Google's tags and WordPress plugins what a visitor allowed: Google Consent Mode v2
// (https://developers.google.com/tag-platform/security/guides/consent) and the WP Consent API. Opt-in, and not async: it
// must stand before every tag. It says "denied" before any of them asks, then what was chosen earlier, and each later
// choice in the very task in which the choice holds.
import { configure, state, UNMADE } from "./choice.ts";
import type { Config } from "./types.ts";

/** Each name with the keys of the purposes that it needs, all of them. What nobody stands for is denied, but for what
    keeps visitors safe. */
type Needs = Readonly<Record<string, readonly string[]>>;
interface Mode extends Config {
  readonly google: Needs;
  readonly wordpress: Needs;
}

declare global {
  interface Window {
    dataLayer?: unknown[];
    gtag?: (...given: unknown[]) => void;
    wp_consent_type?: string;
    wp_set_consent?: (category: string, value: string) => void;
  }
}

const WAIT = 500; // milliseconds for which Google's tags wait for the first update
const mode = configure((document.currentScript as HTMLScriptElement).dataset.mode!) as Mode;
const layer = (window.dataLayer ??= []);
// Google's tags read the arguments object itself; an array means something else to them.
window.gtag ??= function () {
  layer.push(arguments);
};
const google = (on: (key: string) => boolean): Record<string, string> => states(mode.google, on, "granted", "denied");

function states(needs: Needs, on: (key: string) => boolean, yes: string, no: string): Record<string, string> {
  return Object.fromEntries(Object.entries(needs).map(([name, keys]) => [name, (keys[0] ? keys.every(on) : name === "security_storage") ? yes : no]));
}

const asked = (key: string): boolean => key in mode.purposes;
let told = google((key) => !asked(key));
window.gtag("consent", "default", { ...told, wait_for_update: WAIT });

/** What holds now goes to whoever has not heard of it. */
function tell(): void {
  const [decisions, , unheard] = state();
  const on = (key: string): boolean => !asked(key) || !!decisions[key];
  const now = google(on);
  if (JSON.stringify(now) !== JSON.stringify(told)) {
    told = now;
    window.gtag!("consent", "update", now);
    layer.push({ event: "consent_update" });
  }
  // It keeps cookies of its own, so it hears of nothing before there is a choice.
  if (unheard !== UNMADE) for (const [category, value] of Object.entries(states(mode.wordpress, on, "allow", "deny"))) window.wp_set_consent?.(category, value);
}

if (Object.keys(mode.wordpress)[0]) {
  window.wp_consent_type = "optin";
  document.dispatchEvent(new CustomEvent("wp_consent_type_defined"));
}
tell();
for (const name of ["consent:ready", "consent:show", "consent:first", "consent:change", "visibilitychange", "DOMContentLoaded"])
  document.addEventListener(name, tell);
