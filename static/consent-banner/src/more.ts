// What few pages need: frames, clearing after a withdrawal, the rest of the JavaScript API. Loaded when first asked for.
import type { Decisions, Held, Tools } from "./types.ts";

type StorageKind = "cookie" | "localStorage" | "sessionStorage" | "indexedDB";
interface Policy {
  createScriptURL(url: string): string;
}
interface Policies {
  createPolicy(name: string, rules: Policy): Policy;
}

const plain: Policy = { createScriptURL: (url) => url };
let policy: Policy | undefined;

/** Load each frame whose category is on; put a button where one is off. `stop` also takes away what was shown. */
export async function frames({ gate, style }: Tools, stop = false): Promise<void> {
  const [config, , effective, , fire] = gate;
  await style();
  const on = effective();
  for (const frame of document.querySelectorAll<HTMLIFrameElement>("iframe[data-src][data-category]")) {
    const shown = frame.hasAttribute("src");
    if (!on[frame.dataset.category!]) {
      if (stop || !shown) block(frame, config.placeholder, () => fire("embed", frame));
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

/** Give a waiting script the address in its data-src, through the one Trusted Types policy there is. */
export function trust(_: Tools, script: HTMLScriptElement): void {
  policy ??= (window as { trustedTypes?: Policies }).trustedTypes?.createPolicy("consent-banner", plain) ?? plain;
  script.src = policy.createScriptURL(script.dataset.src!);
}

/** Take away what those purposes left here. Resolves to what to tell: "reload" if a script of theirs still runs. */
export async function stop(tools: Tools, off: readonly string[]): Promise<string> {
  for (const purpose of off) {
    const declared = document.querySelector<HTMLElement>(`#consent-ui [name="${purpose}"]`)!.dataset.clear ?? "";
    for (const entry of declared.match(/\S+/g) ?? []) clear(...(entry.split(":") as [StorageKind, string]));
  }
  await frames(tools, true);
  const running = off.some((name) => document.querySelector(`script[data-category="${name}"]:not([type="text/plain"])`));
  return running ? "reload" : "saved";
}

/** Remove what has that name, or begins so where it ends in `*`. */
function clear(kind: StorageKind, pattern: string): void {
  try {
    if (kind === "cookie") clearCookies(pattern);
    else if (kind === "indexedDB") indexedDB.deleteDatabase(pattern);
    else for (const key of Object.keys(window[kind])) if (fits(pattern, key)) window[kind].removeItem(key);
  } catch {
    // Storage is denied, so nothing of it is there.
  }
}

/** Under every domain and path the cookies may have been set for. */
function clearCookies(pattern: string): void {
  const labels = location.hostname.split(".");
  const parts = location.pathname.split("/").slice(1);
  const domains = ["", ...labels.map((_, at) => `;domain=${labels.slice(at).join(".")}`)];
  const paths = ["/", ...parts.flatMap((_, at) => [`/${parts.slice(0, at + 1).join("/")}`, `/${parts.slice(0, at).join("/")}/`])];
  for (const pair of document.cookie.split("; ")) {
    const name = pair.split("=")[0]!;
    if (!fits(pattern, name)) continue;
    for (const domain of domains) for (const path of paths) document.cookie = `${name}=;max-age=0;path=${path}${domain}`;
  }
}

const fits = (pattern: string, name: string): boolean =>
  pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;

const every = (tools: Tools, on: (name: string) => boolean): Decisions =>
  Object.fromEntries(Object.keys(tools.gate[0].purposes).map((name) => [name, on(name)]));

/** Accept those categories and no others; all of them by default. */
export const acceptCategory = (tools: Tools, names: string | readonly string[] = "all"): Promise<void> =>
  tools.decide(every(tools, (name) => names === "all" || [names].flat().includes(name)), "api");

export const rejectAll = (tools: Tools): Promise<void> => tools.decide(every(tools, () => false), "api");

export const withdraw = rejectAll;

/** A service is allowed with its category. */
export const acceptService = (tools: Tools, _service: string, category: string): Promise<void> =>
  tools.decide({ ...tools.gate[2](), [category]: true }, "api");

export const object = (tools: Tools, category: string): Promise<void> =>
  tools.decide({ ...tools.gate[2](), [category]: false }, "api");

export function getUserPreferences(tools: Tools): { acceptedCategories: string[]; rejectedCategories: string[] } {
  const on = tools.gate[2]();
  const names = Object.keys(on);
  return { acceptedCategories: names.filter((name) => on[name]), rejectedCategories: names.filter((name) => !on[name]) };
}

/** The proof a script-only page holds, else what the server says of the one in our cookie. */
export async function getReceipt({ gate: [config], held }: Tools): Promise<Held | unknown> {
  const { origin } = new URL(import.meta.url);
  return config.embed === "script" ? held() : (await fetch(`${origin}/v1/consent?site=${config.site}`)).json();
}

export const eraseCookies = (_: Tools, names: string | readonly string[]): void =>
  [names].flat().forEach((name) => clear("cookie", name as string));

/** Forget the choice on this device and ask again. */
export async function reset({ show }: Tools): Promise<void> {
  clear("cookie", "consent");
  clear("localStorage", "consent");
  await show();
}
