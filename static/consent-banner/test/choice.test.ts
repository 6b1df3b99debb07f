import assert from "node:assert/strict";
import test from "node:test";
import { parse } from "../src/choice.ts";
import type { Config } from "../src/types.ts";

const config = { notice: "0123456789abcdef", purposes: { statistics: "consent", embeds: "consent" } } as unknown as Config;
const ago = (days: number): string => new Date(Date.now() - days * 864e5).toISOString().slice(0, 10);
const text = ({ notice = "01234567", day = ago(1), bits = "embeds.0+statistics.1", permit = "p.q" } = {}): string =>
  [notice, day, bits, permit].join("~");

test("a choice is read", () => {
  assert.deepEqual(parse(text(), config), { decisions: { embeds: false, statistics: true }, permit: "p.q" });
});

test("a choice lapses after 180 days", () => {
  assert.equal(parse(text({ day: ago(179) }), config)?.permit, "p.q");
  assert.equal(parse(text({ day: ago(181) }), config), undefined);
});

test("another notice, other purposes or anything else asks again", () => {
  const broken = [text({ notice: "11234567" }), text({ bits: "statistics.1" }), text({ bits: "embeds.0+other.1" }), text({ day: "never" })];
  for (const other of [...broken, "", "~", "~~~", "x"]) assert.equal(parse(other, config), undefined);
});
