// What is counted besides the views of pages: goals, funnels, the site's own search, pages not found, links that lead
// away, downloads, attention. Loaded after the first view, so that no page waits for it (docs/adr/0020).
import type { Change, Counters, Fields, Say } from "./counters.ts";
import { watch } from "./engagement.ts";
import type { Config } from "./types.ts";

/** What anonymiser/weblogs/targets.py takes for a download, too. */
const DOWNLOAD = /\.(pdf|docx?|xlsx?|pptx?|od[tsp]|csv|zip|gz|bz2|xz|7z|rar|tar|tgz|exe|msi|dmg|pkg|deb|rpm|apk|iso|epub)$/i;
const LONGEST_PATH = 512;
const LONGEST_WORD = 128;

/** The steps of each funnel in order: paths of pages, or goals. */
type Funnels = Readonly<Record<string, readonly string[]>>;

/** What the page views tell this part. */
export interface Activity {
  /** A page was viewed: its search term, its steps in funnels. */
  viewed(): void;
  goal(name: string): void;
}

/**
 * Count an event of that kind about `key`, on the day of the last view: an event after midnight begins no day, and one
 * of a browser whose counters were cleared begins one without views.
 */
export const happened =
  (kind: string, key: string): Change =>
  (old, day) => {
    const c = begun(old, day);
    return [c, { key, g: ordinal(c, kind, key), day: c.day }];
  };

/**
 * Go on in every funnel whose next step is `place`, the path of a page or a goal. Each step is said once a day, in a
 * beacon of its own: one of kind "goal" that counts no goal.
 */
export const stepped =
  (funnels: Funnels, place: string): Change =>
  (old, day) => {
    const c = begun(old, day);
    const said = Object.entries(funnels).flatMap(([name, steps]) => {
      const reached = (c.seen.step ?? []).filter((step) => step.startsWith(name + ":")).length;
      if (steps[reached] !== place) return [];
      const step = `${name}:${reached + 1}`;
      return [{ key: name, step, f: ordinal(c, "step", step), day: c.day }];
    });
    return [c, ...said];
  };

const begun = (old: Counters | undefined, day: string): Counters => old ?? { day, n: 0, v: 0, k: 0, seen: { pageview: [] } };

/** The number of a key among those of its kind today, from 1; 0 when it was there already. */
function ordinal(c: Counters, kind: string, key: string): number {
  const seen = (c.seen[kind] ??= []);
  return seen.includes(key) ? 0 : seen.push(key);
}

export function start(config: Config & { funnels?: Funnels }, say: Say, send: (said: Fields) => void, view: () => void): Activity {
  const funnels = config.funnels ?? {};
  const event = (kind: string, key: string): void => say(kind, happened(kind, key));

  /** Only sites whose funnels know the place touch the counters. */
  function step(place: string): void {
    if (Object.values(funnels).flat().includes(place)) say("goal", stepped(funnels, place));
  }

  function followed({ target, button }: MouseEvent): void {
    const link = (target as Element).closest<HTMLAnchorElement>("a[href],area[href]");
    if (!link?.host || button > 1) return;
    if (link.host !== location.host) event("outbound", link.hostname.slice(0, LONGEST_WORD));
    else if (DOWNLOAD.test(link.pathname)) event("download", link.pathname.slice(0, LONGEST_PATH));
  }

  addEventListener("click", followed, true);
  addEventListener("auxclick", followed, true);
  if (isMissing()) event("not_found", location.pathname.slice(0, LONGEST_PATH));
  if (!("navigation" in window)) followHistory(view);
  watch(say, send);

  return {
    viewed() {
      const term = new URLSearchParams(location.search).get(config.search)?.trim();
      if (term) event("search", term.slice(0, LONGEST_PATH));
      step(location.pathname);
    },
    goal(name) {
      if (!config.goals.includes(name)) return;
      event("goal", name);
      step(name);
    },
  };
}

/** Whether this page says "not found": by its status, or by <html data-not-found> where a browser does not tell that. */
function isMissing(): boolean {
  const [entry] = performance.getEntriesByType("navigation") as (PerformanceNavigationTiming & { responseStatus?: number })[];
  return entry?.responseStatus === 404 || document.documentElement.hasAttribute("data-not-found");
}

/** Browsers without the Navigation API: the page's own history functions, which do all they did. */
function followHistory(view: () => void): void {
  for (const name of ["pushState", "replaceState"] as const) {
    const own = history[name];
    history[name] = (...given) => {
      own.apply(history, given);
      view();
    };
  }
  addEventListener("popstate", view);
  view();
}
