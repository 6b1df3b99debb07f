// Page views and goals, said without any identifier: anonymiser/facts.py says what a beacon holds and how long its texts
// may be (a path 512, a word 128).
import { record } from "./counters.ts";
import type { Config } from "./types.ts";

type Permit = string | false | undefined;

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

  function say(kind: string, key?: string): void {
    const permit = permitted();
    const path = location.pathname.slice(0, 512);
    const query = new URLSearchParams(location.search);
    try {
      record(config.timezone, kind, path, key, (said) => {
        // Where the visit came from: the host that linked here, and the campaign's own words.
        if (said.k === 1) {
          for (const name of ["source", "medium", "campaign"]) said["utm_" + name] = query.get("utm_" + name)?.slice(0, 128);
          const host = document.referrer.split("/")[2];
          if (host !== location.host) said.referrer = host?.slice(0, 128);
        }
        if (said.n === 1) {
          const { width } = screen;
          said.screen = width < 768 ? "small" : width < 1024 ? "medium" : width < 1440 ? "large" : "wide";
          said.lang = navigator.language;
          said.zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
        }
        // The choice may have been taken back, here or in another tab, while the counters were written.
        if (permitted() === permit)
          fetch(origin + "/v1/collect", {
            method: "POST",
            credentials: "omit",
            keepalive: true,
            body: JSON.stringify({ schema: 1, site: config.site, permit, nonce: nonce(), kind, path, ...said }),
          }).catch(() => {});
      });
    } catch {
      // Storage is denied: then this is not counted, and the page must not notice.
    }
  }

  return [
    (again) => {
      const path = location.pathname;
      if (!permitted() || (path === last && again !== true)) return;
      last = path;
      say("pageview");
      const term = new URLSearchParams(location.search).get(config.search);
      if (term) say("search", term);
    },
    (name) => {
      if (permitted() && config.goals.includes(name)) say("goal", name);
    },
  ];
}

const nonce = (): string => crypto.getRandomValues(new BigUint64Array(1))[0]!.toString(16).padStart(16, "0");
