import assert from "node:assert/strict";
import test from "node:test";
import { configure, effective, state } from "../src/choice.ts";

const config = JSON.stringify({
  notice: "0123456789abcdef",
  purposes: { embeds: false, statistics: true },
  asked: "01234567,embeds,statistics",
  always: { necessary: true },
  permit: "default",
});
const ago = (days: number): string => new Date(Date.now() - days * 864e5).toISOString().slice(0, 10);
const text = ({ notice = "01234567", day = ago(1), bits = "embeds.0+statistics.1", permit = "p.q" } = {}): string =>
  [notice, day, bits, permit].join("~");
const page = globalThis as unknown as { document: { cookie: string }; navigator: { globalPrivacyControl?: boolean } };
Object.defineProperty(page, "navigator", { value: {}, configurable: true });

/** What holds where the cookie says so. */
function read(kept: string) {
  configure(config);
  page.document = { cookie: `other=1; consent=${kept}; last=2` };
  return state();
}

test("a choice is read", () => {
  assert.deepEqual(read(text()), [{ embeds: false, statistics: true }, "p.q", undefined]);
  assert.equal(read(text({ permit: "" }) + "~preferences")[2], "preferences");
});

test("a choice lapses after 180 days", () => {
  assert.equal(read(text({ day: ago(179) }))[1], "p.q");
  assert.equal(read(text({ day: ago(181) }))[2], 1);
});

test("another notice, other purposes or anything else asks again", () => {
  const broken = [text({ notice: "11234567" }), text({ bits: "statistics.1" }), text({ bits: "embeds.0+other.1" }), text({ day: "never" })];
  for (const other of [...broken, "", "~", "~~~", "x"]) assert.equal(read(other)[2], 1);
});

test("what needs no choice holds always; the defaults hold without one, but not under a privacy signal", () => {
  assert.deepEqual(read("") && effective(), { necessary: true, embeds: false, statistics: true });
  page.navigator.globalPrivacyControl = true;
  assert.deepEqual(read("") && effective(), { necessary: true });
  assert.deepEqual(read(text()) && effective(), { necessary: true, embeds: false, statistics: true });
  delete page.navigator.globalPrivacyControl;
});
