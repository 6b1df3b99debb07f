// Page views, without any identifier. Attention and depth are in engagement.ts; goals, links, downloads and the like in
// activity.ts, which is loaded when a page first has any of them.
import { path, say } from "./beacons.ts";
import { config, permitted } from "./choice.ts";
import { type Fields, passed, viewed } from "./counters.ts";
import { watch } from "./engagement.ts";
import { matters, more } from "./needs.ts";
import { page } from "./parts.ts";

let last: string | false | undefined;
let watched: unknown;

/** Whether this page says "not found": by its status, or by a mark where a browser does not tell that. */
const isMissing = (): unknown =>
  document.querySelector("[data-not-found]") ||
  (performance.getEntriesByType("navigation") as { responseStatus?: number }[])[0]?.responseStatus === 404;

/** Count the page that is shown, once for each time its path changes. */
export const view = (event?: Event): void => {
  const at = permitted() && path();
  if (at === last && !(event as PageTransitionEvent)?.persisted) return;
  last = at;
  // Where the visit came from: the host that linked here, and the campaign's own words.
  const came: Fields = { referrer: document.referrer.split("/")[2] };
  for (const name of ["source", "medium", "campaign"]) came["utm_" + name] = new URLSearchParams(location.search).get("utm_" + name)?.slice(0, 128);
  const device = (): Fields => ({
    screen: ["small", "medium", "large", "wide"][passed([768, 1024, 1440], screen.width)],
    zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    lang: navigator.language,
  });
  say("pageview", viewed(at as string, came, device, config.crossed));
  if (!at) return;
  if (matters(location) || isMissing()) more("look");
  if (watched) return;
  watched = true;
  watch();
  addEventListener("pageshow", view);
  if (page.navigation) page.navigation.addEventListener("currententrychange", view);
  else more("follow", view);
};

/** Count a goal of the site. */
export const track = (goal: string): unknown => more("goal", goal);
