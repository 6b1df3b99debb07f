// The visitor's own counters, kept on the visitor's device: what was counted today, nothing about who.
const DATABASE = "consent-banner";
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
  seen: { pageview: string[]; [kind: string]: string[] };
  /** Seconds engaged today and eighths of a page seen today, once there are any (activity.ts). */
  engaged?: number;
  depth?: number;
}

export type Fields = Record<string, unknown>;

/** What an event makes of the counters, on that day of the site's zone and at `now` (ms), and what each beacon says. */
export type Change = (old: Counters | undefined, day: string, now: number) => [after: Counters | undefined, ...said: Fields[]];

/** Make a change and send a beacon of that kind for each thing it says, or hand that to `then`. */
export type Say = (kind: string, change: Change, then?: (said: Fields) => void) => void;

/**
 * Count a view of `path`. Only a view begins a day, and none begins twice: while the clock is behind what it once was,
 * the later day goes on.
 */
export const viewed =
  (path: string): Change =>
  (old, day, now) => {
    const c: Counters = old && old.day >= day ? old : { day, last: old?.day, n: 0, v: 0, k: 0, seen: { pageview: [] } };
    const seen = c.seen.pageview;
    if (!(now - c.at! <= IDLE)) {
      c.v++;
      c.k = 0;
      c.prev = undefined;
    }
    const fields = { day: c.day, n: ++c.n, p: seen.includes(path) ? 0 : seen.push(path), v: c.v, k: ++c.k, prev: c.prev, gap: c.n > 1 ? undefined : gap(c.last, c.day) };
    c.prev = path;
    c.at = now;
    return [c, fields];
  };

/** Days since the last active day, exact to 31 (GAP_BUCKETS of anonymiser/bounds.py). */
export function gap(last: string | undefined, day: string): string {
  const days = (Date.parse(day) - Date.parse(last!)) / DAY;
  let low = 32;
  if (days < low) return `${days}`;
  for (const high of [60, 90, 180, 365]) {
    if (days <= high) return `${low}-${high}`;
    low = high + 1;
  }
  return last ? "more" : "first";
}

/**
 * Make a change in one transaction, so that two tabs never say the same ordinal. `then` gets what each beacon says once
 * it is written, and is never called where storage is denied or full.
 */
export function record(timeZone: string, change: Change, then: (said: Fields) => void): void {
  const opening = indexedDB.open(DATABASE);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore(DATABASE);
  };
  opening.onsuccess = () => {
    const transaction = opening.result.transaction(DATABASE, "readwrite");
    const store = transaction.objectStore(DATABASE);
    const reading = store.get(0);
    reading.onsuccess = () => {
      const now = new Date();
      const [counters, ...said] = change(reading.result, now.toLocaleDateString("sv", { timeZone }), +now);
      store.put(counters, 0);
      transaction.oncomplete = () => said.forEach(then);
    };
    opening.result.close();
  };
}

/** Forget every counter. */
export function forget(): void {
  try {
    indexedDB.deleteDatabase(DATABASE);
  } catch {
    // Storage is denied, so there is nothing to forget.
  }
}
