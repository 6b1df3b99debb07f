import assert from "node:assert/strict";
import test from "node:test";
import { happened } from "../src/activity.ts";
import { type Counters, type Fields, gap, viewed } from "../src/counters.ts";

const none = () => ({});
const MINUTE = 60_000;
const MIDNIGHT = Date.parse("2026-11-24");

/** Count views and events in order; each is [day, minutes since the first midnight, path or kind:key]. */
function run(...steps: [string, number, string][]): Fields[] {
  let counters: Counters | undefined;
  return steps.map(([day, minutes, what]) => {
    const [kind = "", key = ""] = what.split(":");
    const change = what.startsWith("/") ? viewed(what, {}, none) : happened(kind, key);
    const [next, said] = change(structuredClone(counters), day, MIDNIGHT + minutes * MINUTE);
    counters = next;
    return said!;
  });
}

const say = (day: string, n: number, p: number, v: number, k: number, prev?: string, gap?: string): Fields => ({ day, n, p, v, k, prev, ...(gap && { gap }) });

test("the first view of all says so", () => {
  assert.deepEqual(run(["2026-11-24", 600, "/"]), [say("2026-11-24", 1, 1, 1, 1, undefined, "first")]);
});

test("pages count once a day, views each time", () => {
  const day = "2026-11-24";
  assert.deepEqual(run([day, 600, "/"], [day, 601, "/a"], [day, 602, "/"], [day, 603, "/b"]).slice(1), [
    say(day, 2, 2, 1, 2, "/"),
    say(day, 3, 0, 1, 3, "/a"),
    say(day, 4, 3, 1, 4, "/"),
  ]);
});

test("a visit ends after more than thirty minutes, and knows nothing of the page before", () => {
  const day = "2026-11-24";
  assert.deepEqual(run([day, 600, "/"], [day, 630, "/a"], [day, 660.1, "/b"]).slice(1), [
    say(day, 2, 2, 1, 2, "/"),
    say(day, 3, 3, 2, 1),
  ]);
});

test("a visit ends at the site's midnight", () => {
  assert.deepEqual(run(["2026-11-24", 1439, "/"], ["2026-11-25", 1441, "/a"])[1], say("2026-11-25", 1, 1, 1, 1, undefined, "1"));
});

test("a clock that is put back does not begin a day again", () => {
  assert.deepEqual(run(["2026-11-25", 1500, "/"], ["2026-11-24", 1430, "/a"])[1], say("2026-11-25", 2, 2, 1, 2, "/"));
});

test("an event after midnight belongs to the view before it and begins no day", () => {
  const said = run(["2026-11-24", 1439, "/"], ["2026-11-25", 1445, "goal:enquiry"], ["2026-11-25", 1446, "/"]);
  assert.deepEqual(said[1], { day: "2026-11-24", key: "enquiry", g: 1 });
  assert.equal(said[2]!.gap, "1");
});

test("each kind of event has numbers of its own; a key said twice is 0", () => {
  const day = "2026-11-24";
  const said = run([day, 1, "/"], [day, 2, "goal:a"], [day, 3, "search:a"], [day, 4, "goal:b"], [day, 5, "goal:a"]);
  assert.deepEqual(said.slice(1).map((one) => one.g), [1, 1, 2, 0]);
});

test("gaps have the names that the server knows", () => {
  const after = (days: number): string => gap("2025-01-01", new Date(Date.parse("2025-01-01") + days * 864e5).toISOString().slice(0, 10));
  assert.deepEqual([1, 31, 32, 60, 61, 90, 91, 180, 181, 365, 366].map(after), [
    "1", "31", "32-60", "32-60", "61-90", "61-90", "91-180", "91-180", "181-365", "181-365", "more",
  ]);
  assert.equal(gap(undefined, "2026-11-24"), "first");
});
