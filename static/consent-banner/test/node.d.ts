// The little of Node that the tests use, so that its types need not be installed.
declare module "node:test" {
  export default function test(name: string, run: () => void): void;
}
declare module "node:assert/strict" {
  const assert: { equal(got: unknown, wanted: unknown): void; deepEqual(got: unknown, wanted: unknown): void };
  export default assert;
}
