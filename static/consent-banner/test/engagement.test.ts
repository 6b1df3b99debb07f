import assert from "node:assert/strict";
import test from "node:test";
import { type Counters, type Fields, viewed } from "../src/counters.ts";
import { bucket, engage } from "../src/engagement.ts";

const none = () => ({});
const DAY = "2026-11-24";

/** A day with a view, and what is said as [seconds, depth] are added to it one after the other. */
function read(...steps: [number, number][]): (Fields | undefined)[] {
  let counters: Counters | undefined = viewed("/", {}, none)(undefined, DAY, 0)[0];
  return steps.map(([seconds, depth]) => {
    const [next, said] = engage(seconds, depth)(structuredClone(counters), "2026-11-25", 864e5);
    counters = next;
    return said;
  });
}

test("the buckets of attention begin where they should", () => {
  const edges: [number, number][] = [
    [-1, 0], [0, 1], [9.9, 1], [10, 2], [29.9, 2], [30, 3], [60, 4], [120, 5], [300, 6], [600, 7], [1799, 7], [1800, 8],
  ];
  for (const [seconds, expected] of edges) assert.equal(bucket(seconds), expected);
});

test("only a bucket that is left is told, and a day is one chain", () => {
  assert.deepEqual(read([0, 2], [5, 2], [5, 1], [50, 8], [9999, 8], [1, 8]), [
    { day: DAY, engaged: [0, 1], scroll: [0, 2] },
    undefined,
    { day: DAY, engaged: [1, 2] },
    { day: DAY, engaged: [2, 4], scroll: [2, 8] },
    { day: DAY, engaged: [4, 8] },
    undefined,
  ]);
});

test("the links of many days add up to one bucket each, whatever the steps", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const steps = Array.from({ length: 12 }, (_, at) => [((seed * 7919 + at * 104729) % 331) / 3, 1 + ((seed * at) % 8)] as [number, number]);
    const sums = { engaged: Array(9).fill(0), scroll: Array(9).fill(0) };
    for (const said of read(...steps))
      for (const chain of ["engaged", "scroll"] as const) {
        const link = said?.[chain] as [number, number] | undefined;
        if (!link) continue;
        assert.equal(link[0] < link[1] && link[1] <= 8, true);
        sums[chain][link[1]]++;
        if (link[0]) sums[chain][link[0]]--;
      }
    for (const sum of Object.values(sums)) assert.deepEqual(sum.filter((value) => value !== 0), [1]);
  }
});

test("who has viewed nothing is not engaged", () => {
  assert.deepEqual(engage(10, 8)(undefined, DAY, 0), [undefined]);
});
