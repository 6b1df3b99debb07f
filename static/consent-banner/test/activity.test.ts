import assert from "node:assert/strict";
import test from "node:test";
import { happened, stepped } from "../src/activity.ts";
import { type Counters, type Fields, viewed } from "../src/counters.ts";

const none = () => ({});
const DAY = "2026-11-24";
const FUNNELS = { order: ["/chairs", "/basket", "enquiry"], desk: ["/desks", "/basket"], round: ["/a", "/b", "/a"] };

/** The steps that are said on the way through those places on one day, as "funnel:step f". */
function walk(...places: string[]): string[] {
  let counters: Counters | undefined = viewed("/", {}, none)(undefined, DAY, 0)[0];
  return places.flatMap((place) => {
    const [next, ...said] = stepped(FUNNELS, place)(structuredClone(counters), DAY, 0);
    counters = next;
    return said.map((one) => `${one!.step} ${one!.f}`);
  });
}

test("a funnel's steps count in order, each once a day, goals among them", () => {
  assert.deepEqual(walk("/chairs", "/chairs", "/basket", "/chairs", "enquiry", "enquiry"), ["order:1 1", "order:2 2", "order:3 3"]);
  assert.deepEqual(walk("/basket", "enquiry", "/chairs", "enquiry"), ["order:1 1"]);
});

test("one place may go on in two funnels, and a funnel may come back to a place", () => {
  assert.deepEqual(walk("/chairs", "/desks", "/basket"), ["order:1 1", "desk:1 2", "order:2 3", "desk:2 4"]);
  assert.deepEqual(walk("/a", "/a", "/b", "/a"), ["round:1 1", "round:2 2", "round:3 3"]);
});

test("a step's beacon is of the day of the last view and names its funnel", () => {
  const [counters] = viewed("/chairs", {}, none)(undefined, DAY, 0);
  const [, ...said] = stepped(FUNNELS, "/chairs")(counters, "2026-11-25", 864e5);
  assert.deepEqual(said, [{ key: "order", step: "order:1", f: 1, day: DAY }]);
});

test("an event of a browser whose counters were cleared leaves the day's first view to come", () => {
  const [counters, said] = happened("goal", "enquiry")(undefined, DAY, 0);
  assert.deepEqual(said, { key: "enquiry", g: 1, day: DAY });
  const [, view] = viewed("/", {}, none)(counters, DAY, 0);
  const { n, v, k, gap } = view as Fields;
  assert.deepEqual([n, v, k, gap], [1, 1, 1, "first"]);
});

test("where statistics are crossed each view and goal says where its visit came from and in, until the next visit", () => {
  const came = { referrer: "news.example", utm_source: "letter", utm_medium: undefined, utm_campaign: "autumn" };
  const visit = { referrer: "news.example", utm_source: "letter", utm_medium: undefined, utm_campaign: undefined, entry: "/in" };
  const [one, first] = viewed("/in", came, none, true)(undefined, DAY, 0);
  assert.deepEqual({ ...first, ...visit, ...came }, first);
  const [two, second] = viewed("/b", { referrer: "own.example" }, none, true)(one, DAY, 1);
  assert.deepEqual({ ...second, ...visit }, second);
  const [three, goal] = happened("goal", "enquiry")(two, DAY, 2);
  assert.deepEqual({ ...goal, ...visit }, goal);
  const [, link] = happened("outbound", "news.example")(three, DAY, 2);
  assert.equal("entry" in link!, false);
  const [, later] = viewed("/c", { referrer: "other.example" }, none, true)(three, DAY, 36e5);
  assert.deepEqual([later!.entry, later!.referrer, later!.utm_source], ["/c", "other.example", undefined]);
});

test("where they are not, nothing is kept of it", () => {
  const [one, first] = viewed("/in", { referrer: "news.example" }, none)(undefined, DAY, 0);
  assert.deepEqual([first!.referrer, "entry" in first!, one!.visit], ["news.example", false, undefined]);
  const [, second] = viewed("/b", { referrer: "own.example" }, none)(one, DAY, 1);
  assert.deepEqual(["referrer" in second!, "entry" in second!], [false, false]);
});
