// What waits for a choice: scripts, let go in their order, each fault by itself; and frames, which have a button of their
// own until then. Loaded on pages that have any.
import { details } from "./details.ts";
import { style } from "./style.ts";
import type { Config, Decisions } from "./types.ts";

/** The look of what stands for a frame, whose name the build puts here. */
declare const FRAME_CSS: string;

type Fire = (name: string, detail?: unknown) => unknown;
interface Policy {
  createScriptURL(url: string): string;
}
interface Policies {
  createPolicy(name: string, rules: Policy): Policy;
}

const plain: Policy = { createScriptURL: (url) => url };
const allows = (on: Decisions, { category, service }: DOMStringMap): boolean => !!(on[service!] ?? on[category!]);
let policy: Policy | undefined;
let styled: Promise<void> | undefined;
let turn: Promise<unknown> = Promise.resolve();

/** Let every waiting script and frame of an allowed category go; of scripts, those of one call before those of the next. */
export async function release(config: Config, effective: () => Decisions, fire: Fire): Promise<void> {
  turn = turn.then(() => scripts(effective, fire));
  await Promise.all([turn, frames(config, effective, fire)]);
}

async function scripts(effective: () => Decisions, fire: Fire): Promise<void> {
  for (const script of document.querySelectorAll<HTMLScriptElement>("script[type='text/plain'][data-category]"))
    if (allows(effective(), script.dataset)) await run(script).catch((error: unknown) => fire("error", error));
}

/**
 * The very same element is put back: source, nonce and trusted text stay what the page's author wrote, so that neither a
 * nonce policy nor Trusted Types see anything new. The next waits for it, unless it is async.
 */
async function run(script: HTMLScriptElement): Promise<void> {
  const { type, src } = script.dataset;
  if (src) script.src = trusted(src);
  script.type = type ?? "";
  script.async = script.matches("[async]");
  await new Promise((resolve, reject) => {
    script.addEventListener("load", resolve);
    script.addEventListener("error", reject);
    script.replaceWith(script);
    if (!script.src || script.async) resolve(0);
  });
}

/** An address in data-src goes through the one Trusted Types policy there is. */
function trusted(src: string): string {
  policy ??= (window as { trustedTypes?: Policies }).trustedTypes?.createPolicy("consent-banner", plain) ?? plain;
  return policy.createScriptURL(src);
}

/** Load each frame whose category is on; put a button where one is off. `stop` also takes away what was shown. */
export async function frames(config: Config, effective: () => Decisions, fire: Fire, stop = false): Promise<void> {
  const all = document.querySelectorAll<HTMLIFrameElement>("iframe[data-src][data-category]");
  if (!all[0]) return;
  const [{ placeholder }] = await Promise.all([details(config), (styled ??= style(FRAME_CSS))]);
  const on = effective();
  for (const frame of all) {
    const shown = frame.hasAttribute("src");
    if (!allows(on, frame.dataset)) {
      if (stop || !shown) block(frame, placeholder, () => fire("embed", frame));
    } else if (!shown) load(frame);
  }
}

function load(frame: HTMLIFrameElement): void {
  frame.src = frame.dataset.src!;
  frame.hidden = false;
  const before = frame.previousElementSibling;
  if (before?.matches(".consent-frame")) before.remove();
}

/** A box of the frame's size, whose button shows this one frame and decides nothing. */
function block(frame: HTMLIFrameElement, words: readonly [string, string], shown: () => void): void {
  if (frame.hidden) return;
  const { host } = new URL(frame.dataset.src!, location.href);
  const [action, warning] = words.map((text) => text.replace("{host}", host)) as [string, string];
  const box = document.createElement("div");
  const button = document.createElement("button");
  const note = document.createElement("p");
  box.className = "consent-frame";
  box.style.width = `${frame.offsetWidth}px`;
  box.style.minHeight = `${frame.offsetHeight}px`;
  button.type = "button";
  button.textContent = action;
  if (frame.title) button.setAttribute("aria-label", `${action}: ${frame.title}`);
  note.textContent = warning;
  button.addEventListener("click", () => {
    load(frame);
    frame.focus();
    shown();
  });
  box.append(button, note);
  frame.before(box);
  frame.hidden = true;
  frame.removeAttribute("src");
}
