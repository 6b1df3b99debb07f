// What is counted besides views and attention: goals, funnels, the site's own search, pages not found, links that lead
// away, downloads. Loaded after the first view, so that no page waits for it (docs/adr/0020).
import type { Change, Counters, Fields, Say } from "./counters.ts";
import type { Config } from "./types.ts";

/** What anonymiser/weblogs/targets.py takes for a download, too. */
const DOWNLOAD = /\.(pdf|docx?|xlsx?|pptx?|od[tsp]|csv|zip|gz|bz2|xz|7z|rar|tar|tgz|exe|msi|dmg|pkg|deb|rpm|apk|iso|epub)$/i;
const LONGEST_PATH = 512;
const LONGEST_WORD = 128;

/** The steps of each funnel in order: paths of pages, or goals. */
type Funnels = Readonly<Record<string, readonly string[]>>;

/** Counts a goal. */
export type Activity = (goal: string) => unknown;

/**
 * Count an event of that kind about `key`, on the day of the last view: an event after midnight begins no day, and one
 * of a browser whose counters were cleared begins one without views. A goal says where its visit came from, where the
 * site's views do.
 */
export const happened =
  (kind: string, key: string): Change =>
  (old, day) => {
    const c = begun(old, day);
    return [c, { key, g: ordinal(c, kind, key), day: c.day, ...(kind === "goal" && c.visit) }];
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

const begun = (old: Counters | undefined, day: string): Counters =>
  old ?? { day, n: 0, v: 0, k: 0, seconds: 0, engaged: 0, scroll: 0, seen: { pageview: [] } };

/** The number of a key among those of its kind today, from 1; 0 when it was there already. */
function ordinal(c: Counters, kind: string, key: string): number {
  const seen = (c.seen[kind] ??= []);
  return seen.includes(key) ? 0 : seen.push(key);
}

export function start(config: Config & { funnels?: Funnels }, say: Say, send: (said: Fields) => void, view: () => void): Activity {
  const funnels = config.funnels ?? {};
  const event = (kind: string, key: string): void => say(kind, happened(kind, key));
  let last: string | undefined;

  /** Only sites whose funnels know the place touch the counters. */
  function step(place: string): void {
    if (Object.values(funnels).flat().includes(place)) say("goal", stepped(funnels, place));
  }

  /** A page was viewed: its search term, its steps in funnels. */
  function look(): void {
    if (location.pathname === last) return;
    last = location.pathname;
    const term = new URLSearchParams(location.search).get(config.search)?.trim();
    if (term) event("search", term.slice(0, LONGEST_PATH));
    step(last);
  }

  if (config.links) followLinks(say, send);
  if (config.links && isMissing()) event("not_found", location.pathname.slice(0, LONGEST_PATH));
  if ("navigation" in window) (window as unknown as { navigation: EventTarget }).navigation.addEventListener("currententrychange", look);
  else followHistory(() => (view(), look()));
  addEventListener("pageshow", (shown) => shown.persisted && ((last = ""), look()));
  look();

  return (goal) => {
    if (!config.goals.includes(goal)) return;
    event("goal", goal);
    step(goal);
  };
}

/** What a link counts as: its kind, and the host or the path. */
function target(at: EventTarget | null): [kind: string, key: string] | undefined {
  const link = (at as Element).closest?.<HTMLAnchorElement>("a[href],area[href]");
  if (!link?.host) return;
  if (link.host !== location.host) return ["outbound", link.hostname.slice(0, LONGEST_WORD)];
  return DOWNLOAD.test(link.pathname) ? ["download", link.pathname.slice(0, LONGEST_PATH)] : undefined;
}

/**
 * A page that is left may not live to write. So a link's number is written when the link is pressed, a moment before it is
 * followed, and then only has to be told, which a page that is going can do. Whoever presses and does not follow has used
 * the number up; it is told if they follow the link later, from the same page.
 */
function followLinks(say: Say, send: (said: Fields) => void): void {
  const pressed = new Map<string, { said?: Fields; followed?: boolean }>();

  function tell(id: string): void {
    const { said, followed } = pressed.get(id) ?? {};
    if (!said || !followed) return;
    pressed.delete(id);
    send(said);
  }

  function notice({ target: at, button, type }: MouseEvent): void {
    const [kind, key] = (button < 2 && target(at)) || [];
    if (!kind) return;
    const id = `${kind} ${key}`;
    if (!pressed.has(id)) {
      pressed.set(id, {});
      say(kind, happened(kind, key!), (said) => {
        Object.assign(pressed.get(id) ?? {}, { said });
        tell(id);
      });
    }
    if (type !== "pointerdown") {
      pressed.get(id)!.followed = true;
      tell(id);
    }
  }

  for (const sign of ["pointerdown", "click", "auxclick"] as const) addEventListener(sign, notice, true);
  document.addEventListener("consent:change", () => pressed.clear());
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
