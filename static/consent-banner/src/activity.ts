// What is counted besides views and attention: goals, funnels, the site's own search, pages not found, links that lead
// away, downloads. Loaded when a page first has something of these, and then kept by the browser (docs/adr/0020).
import type { Change, Counters, Fields, Say } from "./counters.ts";
import type { Config } from "./types.ts";

/** What anonymiser/weblogs/targets.py takes for a download, too. */
const DOWNLOAD = /\.(pdf|docx?|xlsx?|pptx?|od[tsp]|csv|zip|gz|bz2|xz|7z|rar|tar|tgz|exe|msi|dmg|pkg|deb|rpm|apk|iso|epub)$/i;
const LONGEST_PATH = 512;
const LONGEST_WORD = 128;

/** The steps of each funnel in order: paths of pages, or goals. */
type Funnels = Readonly<Record<string, readonly string[]>>;

/** What the gate hands over, in the order of the page. */
export type Need =
  /** A page is viewed. */
  | [name: "look"]
  /** The page has links that count. */
  | [name: "links"]
  | [name: "goal", goal: string]
  /** What views a page, in a browser that does not tell when its address changes. */
  | [name: "follow", view: () => void];
export interface Activity {
  count(needs: Need[], config: Config, say: Say, send: Send): void;
}
type Send = (said: Fields) => void;

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

const event = (say: Say, kind: string, key: string): void => say(kind, happened(kind, key));

/** Only sites whose funnels know the place touch the counters. */
function step(say: Say, { funnels = {} }: Config, place: string): void {
  if (Object.values(funnels as Funnels).flat().includes(place)) say("goal", stepped(funnels, place));
}

/** Count what waits. */
export function count(needs: Need[], config: Config, say: Say, send: Send): void {
  for (const [name, given] of needs.splice(0)) {
    if (name === "look") look(config, say);
    else if (name === "goal") goal(config, say, given);
    else if (name === "follow") follow(given);
    else links(config, say, send);
  }
}

let looked = false;

/** The search term of a page, its steps in funnels, and whether it is not there, which a page loaded once says once. */
function look(config: Config, say: Say): void {
  const term = new URLSearchParams(location.search).get(config.search!)?.trim();
  if (term) event(say, "search", term.slice(0, LONGEST_PATH));
  if (!looked && config.links && isMissing()) event(say, "not_found", location.pathname.slice(0, LONGEST_PATH));
  looked = true;
  step(say, config, location.pathname);
}

/** Whether this page says "not found". The gate asked, too, but it may be here for its search alone. */
function isMissing(): boolean {
  const [entry] = performance.getEntriesByType("navigation") as (PerformanceNavigationTiming & { responseStatus?: number })[];
  return entry?.responseStatus === 404 || document.documentElement.hasAttribute("data-not-found");
}

function goal(config: Config, say: Say, name: string): void {
  if (!config.goals?.includes(name)) return;
  event(say, "goal", name);
  step(say, config, name);
}

/** What a link counts as: its kind, and the host or the path. */
function target(link: HTMLAnchorElement): [kind: string, key: string] | [] {
  if (link.host !== location.host) return link.host ? ["outbound", link.hostname.slice(0, LONGEST_WORD)] : [];
  return DOWNLOAD.test(link.pathname) ? ["download", link.pathname.slice(0, LONGEST_PATH)] : [];
}

let watched = false;

/** Count what is done to links, also to those that come later. */
function links(config: Config, say: Say, send: Send): void {
  if (!config.links || watched) return;
  watched = true;
  for (const sign of ["pointerdown", "click", "auxclick"]) addEventListener(sign, (event) => press(event as MouseEvent, say, send), true);
}

/** What the counters say of a link that was pressed and not followed yet. */
const pressed = new Map<string, Promise<Fields>>();
// What was said before a choice is not told after it.
globalThis.document?.addEventListener("consent:change", () => pressed.clear());

/**
 * A page that is left may not live to write. So a link's number is written when the link is pressed, a moment before it is
 * followed, and then only has to be told, which a page that is going can do. Whoever presses and does not follow has used
 * the number up; it is told if they follow the link later, from the same page.
 */
function press({ type, target: at, button }: MouseEvent, say: Say, send: Send): void {
  const link = button < 2 && (at as Element).closest?.<HTMLAnchorElement>("[href]");
  const [kind, key] = link ? target(link) : [];
  if (!kind) return;
  const id = `${kind} ${key}`;
  const said = pressed.get(id) ?? new Promise<Fields>((done) => say(kind, happened(kind, key!), done));
  pressed.set(id, said);
  if (type === "pointerdown") return;
  pressed.delete(id);
  said.then(send);
}

/** The page's own history functions, which do all they did. */
function follow(view: () => void): void {
  for (const name of ["pushState", "replaceState"] as const) {
    const own = history[name];
    history[name] = (...given) => {
      own.apply(history, given);
      view();
    };
  }
  addEventListener("popstate", () => view());
  view();
}
