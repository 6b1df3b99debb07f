// The visitor's own counters, kept on the visitor's device (beacons.ts): what was counted today, nothing about who.
const IDLE = 18e5;
const DAY = 864e5;

/** `n` views of the day, `v` visits of the day, `k` views of the visit; `seen` holds the keys of each kind today. */
export interface Counters {
  day: string;
  /** The last day with a view before `day`. */
  last?: string | undefined;
  /** When the last view was (ms); not there before the first. */
  at?: number;
  n: number;
  v: number;
  k: number;
  prev?: string | undefined;
  /** Where this visit came in, only on sites whose statistics cross that with what follows. */
  visit?: Fields | undefined;
  /** Of today: seconds of attention, and which bucket of them and which eighth of a page were told. */
  seconds: number;
  engaged: number;
  scroll: number;
  seen: { pageview: string[]; [kind: string]: string[] };
}

export type Fields = Record<string, unknown>;

/** What an event makes of the counters, on that day of the site's zone and at `now` (ms), and what each beacon says. */
export type Change = (old: Counters | undefined, day: string, now: number) => [after: Counters | undefined, ...said: (Fields | undefined)[]];

/** Make a change, and hand what each beacon of that kind says to `then`, which sends it. */
export type Say = (kind: string, change: Change, then?: (said: Fields) => void) => void;

/**
 * Count a view of `path`. Only a view begins a day, and none begins twice: while the clock is behind what it once was,
 * the later day goes on. The first view of a visit says where it `came` from, the first of a day on what `device` (which takes a browser a while to say); where
 * statistics are `crossed`, each view says where its visit came from and in.
 */
export const viewed =
  (path: string, came: Fields, device: () => Fields, crossed?: boolean): Change =>
  (old, day, now) => {
    const c: Counters = old?.day! >= day ? old! : { day, last: old?.day, n: 0, v: 0, k: 0, seconds: 0, engaged: 0, scroll: 0, seen: { pageview: [] } };
    const seen = c.seen.pageview;
    if (!(now - c.at! <= IDLE)) {
      c.v++;
      c.k = 0;
      c.prev = undefined;
      c.visit = (crossed && { ...came, entry: path, utm_campaign: undefined }) as Fields | undefined;
    }
    const said = {
      day: c.day,
      n: ++c.n,
      p: seen.includes(path) ? 0 : seen.push(path),
      v: c.v,
      k: ++c.k,
      prev: c.prev,
      ...(c.n < 2 && { ...device(), gap: gap(c.last, c.day) }),
      ...c.visit,
      ...(c.k < 2 && came),
    };
    c.prev = path;
    c.at = now;
    return [c, said];
  };

/** How many of these edges lie at or below a number. */
export const passed = (edges: readonly number[], number: number): number => edges.filter((edge) => edge <= number).length;

/** Days since the last active day, exact to 31 (GAP_BUCKETS of anonymiser/bounds.py). */
export const gap = (last: string | undefined, day: string): string => {
  const days = (Date.parse(day) - Date.parse(last!)) / DAY;
  return days < 32 ? `${days}` : last ? ["32-60", "61-90", "91-180", "181-365", "more"][passed([61, 91, 181, 366], days)]! : "first";
};
