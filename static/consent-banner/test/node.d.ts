// The little of Node that the tests use, so that its types need not be installed.
declare module "node:test" {
  export default function test(name: string, run: () => void): void;
}
declare module "node:assert/strict" {
  const assert: { equal(got: unknown, wanted: unknown): void; deepEqual(got: unknown, wanted: unknown): void };
  export default assert;
}
// Its package does not export this file; run.mjs knows where it is.
declare module "autoconsent-heuristics" {
  export function classifyButtonTextRegex(text: string): "reject" | "settings" | "accept" | "acknowledge" | "other";
}
