// What is seldom needed to know of a site, so the server tells it apart.
import type { Config } from "./types.ts";

export interface Details {
  /** The purpose of each service. */
  readonly services: Readonly<Record<string, string>>;
  /** What purposes and services store, as `kind:name` with spaces between; those that are always on too. */
  readonly clear: Readonly<Record<string, string>>;
  /** The button and the note of a blocked frame's placeholder; {host} stands for whose content it is. */
  readonly placeholder: readonly [string, string];
}

let kept: Promise<Details> | undefined;

/** Asks the server once in a page, again after a failure. */
export function details({ site }: Config): Promise<Details> {
  kept ??= fetch(new URL(`/v1/sites/${site}/details`, import.meta.url)).then((answer) => answer.json());
  kept.catch(() => (kept = undefined));
  return kept;
}
