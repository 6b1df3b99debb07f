// Page views, without any identifier. Attention and depth are in engagement.ts; goals, links, downloads and the like in
// activity.ts, which is loaded after the first view where the site counts any of them.
import type { Activity } from "./activity.ts";
import { path, say, send } from "./beacons.ts";
import { config, permitted } from "./choice.ts";
import { type Fields, viewed } from "./counters.ts";
import { watch } from "./engagement.ts";

let last: string | false | undefined;
let activity: Promise<Activity> | "" | undefined;

/** Count the page that is shown, once for each time its path changes. */
export function view(): void {
  const at = permitted() && path();
  if (at === last) return;
  last = at;
  // Where the visit came from: the host that linked here, and the campaign's own words.
  const came: Fields = { referrer: document.referrer.split("/")[2]?.slice(0, 128) };
  for (const name of ["utm_source", "utm_medium", "utm_campaign"]) came[name] = new URL(location.href).searchParams.get(name)?.slice(0, 128);
  const width = screen.width;
  const device = (): Fields => ({
    screen: width < 768 ? "small" : width < 1024 ? "medium" : width < 1440 ? "large" : "wide",
    zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    lang: navigator.language,
  });
  say("pageview", viewed(at as string, came, device, config.crossed));
  if (at) activity ??= (watch(), config.activity && import(config.activity).then((part) => part.start(config, say, send, view)));
}

/** Count a goal of the site, now or once what counts it is there. */
export const track: Activity = (goal) => activity && activity.then((count) => count(goal), () => {});

/** pushState, replaceState, back and forward, without touching the page's own history functions. */
export function follow(): void {
  (window as { navigation?: EventTarget }).navigation?.addEventListener("currententrychange", view);
  addEventListener("pageshow", (event) => event.persisted && ((last = ""), view()));
}
