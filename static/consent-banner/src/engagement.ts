// How long and how far: seconds of attention and the deepest scroll of the visitor's day, told as the steps between two
// of eight buckets, so that all that a browser says in a day is one chain of each.
import type { Change, Counters, Fields, Say } from "./counters.ts";

/** Seconds at which the second to the eighth bucket begin; the first begins with the first moment of attention. */
const EDGES = [10, 30, 60, 120, 300, 600, 1800];
const EIGHTHS = 8;
const CHAINS = ["engaged", "scroll"] as const;
/** Nobody is taken to read for more than these milliseconds after the last thing they did. */
const PATIENCE = 30e3;
/** Milliseconds of attention after which the next thing a visitor does writes them down. */
const UNWRITTEN = 1e3;
const SIGNS = ["pointermove", "pointerdown", "keydown", "scroll", "focus", "blur", "visibilitychange", "pagehide"];

type Link = [from: number, to: number];
/** What a beacon of the kind "engagement" says. */
export type Links = Fields & { day?: string; engaged?: Link; scroll?: Link };

/** The bucket of so many seconds, 0 for none at all. */
export const bucket = (seconds?: number): number =>
  seconds === undefined ? 0 : 1 + EDGES.filter((edge) => edge <= seconds).length;

/**
 * Add seconds of attention and a depth to the counters of the day of the last view; whoever has viewed nothing adds
 * nothing. Says which buckets are left for which, if any.
 */
export const engage =
  (seconds: number, depth: number): Change =>
  (old) => {
    if (!old?.n) return [old];
    const c: Counters = { ...old, engaged: (old.engaged ?? 0) + seconds, depth: Math.max(old.depth ?? 0, depth) };
    const said: Links = { day: c.day };
    const engaged: Link = [bucket(old.engaged), bucket(c.engaged)];
    const scroll: Link = [old.depth ?? 0, c.depth!];
    if (engaged[0] < engaged[1]) said.engaged = engaged;
    if (scroll[0] < scroll[1]) said.scroll = scroll;
    return said.engaged || said.scroll ? [c, said] : [c];
  };

/** Two links of each chain as one; undefined where another tab went on in between, or on another day. */
export function join(one: Links, other: Links): Links | undefined {
  const joined: Links = { ...one, ...other };
  for (const chain of CHAINS) {
    const [first, second] = [one[chain], other[chain]];
    if (first && second) joined[chain] = [first[0], second[1]];
    if (one.day !== other.day || (first && second && first[1] !== second[0])) return;
  }
  return joined;
}

/**
 * Watch this page. What is counted is written while the visitor is active, since a page that is being left writes no
 * more; it is told when the page is hidden or left.
 */
export function watch(say: Say, send: (said: Fields) => void): void {
  let since = Date.now();
  let attentive = false;
  let seconds = 0;
  let depth = 0;
  let left = false;
  let held: Links | undefined;

  function tell(): void {
    if (held) send(held);
    held = undefined;
  }

  function hold(said: Links): void {
    const joined: Links | undefined = held ? join(held, said) : said;
    if (!joined) tell();
    held = joined ?? said;
    if (document.hidden) tell();
  }

  function write(): void {
    say("engagement", engage(seconds, depth), hold);
    seconds = 0;
  }

  function notice(event?: Event): void {
    const now = Date.now();
    const { scrollHeight } = document.documentElement;
    if (attentive) {
      seconds += Math.max(0, Math.min(now - since, PATIENCE)) / 1000;
      depth = Math.max(depth, Math.min(EIGHTHS, Math.ceil((EIGHTHS * (scrollY + innerHeight)) / scrollHeight)));
    }
    since = now;
    attentive = !document.hidden && document.hasFocus();
    // A page that is left keeps its last seconds for when it comes back from the cache, which would not take a page that
    // is writing; a page that is only hidden lives on and can write.
    left = event?.type === "pagehide" || (left && document.hidden);
    if (left || document.hidden) tell();
    if (!left && (document.hidden ? seconds : seconds * 1000 >= UNWRITTEN)) write();
  }

  notice();
  if (attentive) {
    notice();
    write();
  }
  for (const sign of SIGNS) addEventListener(sign, notice, { capture: true, passive: true });
  // After a withdrawal nothing of before may be told: `send` sees that, and what is held is gone.
  document.addEventListener("consent:change", () => {
    tell();
    seconds = 0;
  });
}
