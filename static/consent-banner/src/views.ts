// Page views, said without any identifier: anonymiser/facts.py says what a beacon holds and how long its texts may be (a
// path 512, a word 128). What else is counted on a page is in activity.ts, which is loaded after the first view.
import type { Activity } from "./activity.ts";
import { type Change, type Fields, record, viewed } from "./counters.ts";
import type { Config } from "./types.ts";

/** The file of activity.ts, whose name the build puts here. */
declare const ACTIVITY: string;

type Permit = string | boolean | undefined;

/**
 * What counts the page that is shown, once for each time its path changes (or `again`, when it came from the cache),
 * and what counts a goal. Both store, send and throw nothing while `permitted()` gives no permit.
 */
export function views(
  config: Config,
  origin: string,
  permitted: () => Permit,
): [view: (again?: unknown) => void, goal: (name: string) => void] {
  let last: string;
  let activity: Promise<Activity> | undefined;

  /** Send a beacon, unless the choice was taken back since, here or in another tab. */
  function send(said: Fields): void {
    const permit = permitted();
    if (permit)
      fetch(origin + "/v1/collect", {
        method: "POST",
        // No cookie travels, but on the day's first view the date of the last one (consent_app/collect.py).
        credentials: said.gap ? "same-origin" : "omit",
        keepalive: true,
        body: JSON.stringify({ schema: 1, site: config.site, permit, nonce: crypto.getRandomValues(new BigUint64Array(1))[0]!.toString(16).padStart(16, "0"), ...said }),
      }).catch(() => {});
  }

  function say(kind: string, change: Change, then = send): void {
    const path = location.pathname.slice(0, 512);
    try {
      if (permitted() && !localStorage.uncounted) record(config.timezone, change, (said) => then({ kind, path, ...said }));
    } catch {
      // Storage is denied: then this is not counted, and the page must not notice.
    }
  }

  function sendView(said: Fields): void {
    // Where the visit came from: the host that linked here, and the campaign's own words.
    if (said.k === 1) {
      const query = new URLSearchParams(location.search);
      for (const name of ["utm_source", "utm_medium", "utm_campaign"]) said[name] = query.get(name)?.slice(0, 128);
      said.referrer = document.referrer.split("/")[2]?.slice(0, 128);
    }
    if (said.gap) {
      const width = screen.width;
      said.screen = width < 768 ? "small" : width < 1024 ? "medium" : width < 1440 ? "large" : "wide";
      said.lang = navigator.language;
      said.zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    }
    send(said);
  }

  function view(again?: unknown): void {
    const path = location.pathname;
    if (!permitted() || (path === last && again !== true)) return;
    last = path;
    say("pageview", viewed(path), sendView);
    activity ??= import(ACTIVITY).then((part) => part.start(config, say, send, view));
    activity.then((part) => part.viewed(), () => {});
  }

  return [view, (name) => activity?.then((part) => part.goal(name))];
}
