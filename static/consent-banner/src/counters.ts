// The visitor's own counters, kept on the visitor's device: what was counted today, nothing about who.
const DATABASE = "consent-banner";
const IDLE = 18e5;
const DAY = 864e5;

/** `n` views of the day, `v` visits of the day, `k` views of the visit; `seen` holds the keys of each kind today. */
export interface Counters {
  day: string;
  /** The last day with a view before `day`. */
  last?: string | undefined;
  at: number;
  n: number;
  v: number;
  k: number;
  prev?: string | undefined;
  seen: Record<string, string[]>;
}

export type Fields = Record<string, unknown>;

/**
 * Count a view of `path`, or an event (one with a `key`), on that day of the site's zone at `now` (ms): the counters
 * afterwards, and the ordinals its beacon says. A day never begins twice: while the clock is behind what it once was,
 * the later day goes on. Only a view begins a day; an event after midnight belongs to the day of the view before.
 */
export function count(
  old: Counters | undefined,
  day: string,
  now: number,
  kind: string,
  path: string,
  key?: string,
): [Counters, Fields] {
  const c: Counters =
    old && (key || old.day >= day) ? old : { day, last: old?.day, at: 0, n: 0, v: 0, k: 0, seen: {} };
  const seen = (c.seen[kind] ??= []);
  const item = key ?? path;
  const ordinal = seen.includes(item) ? 0 : seen.push(item);
  if (key) return [c, { day: c.day, key, g: ordinal }];
  if (now - c.at > IDLE) {
    c.v++;
    c.k = 0;
    c.prev = undefined;
  }
  const fields = { day: c.day, n: ++c.n, p: ordinal, v: c.v, k: ++c.k, prev: c.prev, gap: c.n > 1 ? undefined : gap(c.last, c.day) };
  c.prev = path;
  c.at = now;
  return [c, fields];
}

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
 * Count an event in one transaction, so that two tabs never say the same ordinal. `then` gets what to say once it is
 * written, and is never called where storage is denied or full.
 */
export function record(timeZone: string, kind: string, path: string, key: string | undefined, then: (said: Fields) => void): void {
  const opening = indexedDB.open(DATABASE);
  opening.onupgradeneeded = () => opening.result.createObjectStore(DATABASE);
  opening.onsuccess = () => {
    const change = opening.result.transaction(DATABASE, "readwrite");
    const store = change.objectStore(DATABASE);
    const reading = store.get(0);
    reading.onsuccess = () => {
      const now = new Date();
      const [counters, fields] = count(reading.result, now.toLocaleDateString("sv", { timeZone }), +now, kind, path, key);
      store.put(counters, 0);
      change.oncomplete = () => then(fields);
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
