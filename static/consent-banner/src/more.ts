// What is seldom needed: preferences, clearing after a withdrawal, taking a choice to another site of the family, the rest
// of the JavaScript API. Loaded when first asked for.
import { details } from "./details.ts";
import { style } from "./style.ts";
import type { Decisions, Held, Tools } from "./types.ts";

/** The look that only this part needs, and what stops frames; the build puts the names of their files here. */
declare const MORE_CSS: string;
declare const WAITING: string;

type StorageKind = "cookie" | "localStorage" | "sessionStorage" | "indexedDB";
type Names = string | readonly string[];
let preferences: Promise<HTMLDialogElement> | undefined;

/** Show the preferences with the boxes as things are. */
export async function showPreferences(tools: Tools): Promise<void> {
  preferences ??= open(tools);
  preferences.catch(() => (preferences = undefined));
  const dialog = await preferences;
  details(tools.gate[0]).catch(() => {}); // a visitor who takes something back may be offline by then
  const on = tools.gate[2]();
  for (const box of boxes(dialog)) box.checked = !!on[box.name];
  dialog.showModal();
  // Where a rule of the visitor hides it, the page must not wait for it: then whoever asked goes another way.
  if (!dialog.offsetHeight) throw dialog.close();
  linkReceipt(tools, dialog.querySelector("[data-receipt]")!);
}

async function open(tools: Tools): Promise<HTMLDialogElement> {
  const [root] = await Promise.all([tools.open("preferences"), style(MORE_CSS)]);
  let dialog = root.querySelector("dialog");
  if (!dialog) root.append((dialog = (await tools.fetch("preferences")).querySelector("dialog")!));
  dialog.addEventListener("change", ({ target }) => agree(dialog, target as HTMLInputElement));
  dialog.addEventListener("submit", (event) => {
    const { value } = event.submitter as HTMLButtonElement;
    if (value === "close") return;
    event.preventDefault();
    const chosen = new Set(boxes(dialog).flatMap((box) => (box.checked ? box.name : [])));
    tools.decide(tools.every((name) => value === "accept" || (value === "save" && chosen.has(name))), "preferences");
  });
  return dialog;
}

const boxes = (dialog: HTMLDialogElement): HTMLInputElement[] => [...dialog.querySelectorAll("input")];

/** A purpose is on while a service of it is; its own switch turns all of them. */
function agree(dialog: HTMLDialogElement, box: HTMLInputElement): void {
  const { of } = box.dataset;
  const services = boxes(dialog).filter((other) => other.dataset.of === (of ?? box.name));
  if (!of) for (const service of services) service.checked = box.checked;
  else boxes(dialog).find((other) => other.name === of)!.checked = services.some((service) => service.checked);
}

/** A focused element must not lie under the bar. */
export function uncover(_: Tools, bar: HTMLElement, target: Element): void {
  const depth = target.getBoundingClientRect().bottom - bar.getBoundingClientRect().top;
  if (bar.hidden || depth < 0) return;
  document.documentElement.style.paddingBottom = bar.offsetHeight * 2 + "px";
  scrollBy(0, depth + 9);
}

/** What was given has a receipt. Nothing is asked of the server before there is a choice. */
async function linkReceipt(tools: Tools, link: HTMLAnchorElement): Promise<void> {
  const { receipt } = (tools.gate[1]()[1] ? await getReceipt(tools).catch(() => ({})) : {}) as Held;
  link.hidden = !receipt;
  if (receipt) link.href = new URL(`/v1/receipts/${receipt}`, import.meta.url).href;
}

/** Take away what those left here, but nothing that is on as well. Resolves to what to tell of it. */
export async function stop(tools: Tools, off: readonly string[], note: string): Promise<string> {
  const [config, , effective, , fire] = tools.gate;
  const { clear: declared } = await details(config);
  const entries = (names: readonly string[]): string[] => names.flatMap((name) => declared[name]?.split(" ") ?? []);
  const kept = entries(Object.keys(declared).filter((name) => !off.includes(name) && effective()[name] !== false));
  for (const entry of entries(off)) {
    const [kind, ...name] = entry.split(":");
    if (!kept.includes(entry)) await clear(kind as StorageKind, name.join(":"));
  }
  if (document.querySelector("iframe[data-src]")) await import(WAITING).then((part) => part.frames(config, effective, fire, true));
  const running = off.some((name) =>
    document.querySelector(`:is([data-category="${name}"],[data-service="${name}"]):is(script):not([type="text/plain"])`),
  );
  return running ? "reload" : note;
}

/** Remove what has that name, or begins so where it ends in `*`. */
async function clear(kind: StorageKind, pattern: string): Promise<void> {
  try {
    if (kind === "cookie") clearCookies(pattern);
    else if (kind !== "indexedDB") {
      for (const key of Object.keys(window[kind])) if (fits(pattern, key)) window[kind].removeItem(key);
    } else if (!pattern.endsWith("*")) indexedDB.deleteDatabase(pattern);
    else for (const { name } of await indexedDB.databases()) if (fits(pattern, name!)) indexedDB.deleteDatabase(name!);
  } catch {
    // Storage is denied, so nothing of it is there.
  }
}

/** Under every domain and path the cookies may have been set for, and apart for each site that embeds this one. */
function clearCookies(pattern: string): void {
  const labels = location.hostname.split(".");
  const parts = location.pathname.split("/").slice(1);
  const domains = ["", ...labels.map((_, at) => `;domain=${labels.slice(at).join(".")}`)];
  const paths = ["/", ...parts.flatMap((_, at) => [`/${parts.slice(0, at + 1).join("/")}`, `/${parts.slice(0, at).join("/")}/`])];
  const secure = isSecureContext ? ["", ";secure", ";secure;partitioned"] : [""];
  for (const pair of document.cookie.split("; ")) {
    const name = pair.split("=")[0]!;
    if (!fits(pattern, name)) continue;
    for (const domain of domains)
      for (const path of paths) for (const how of secure) document.cookie = `${name}=;max-age=0;path=${path}${domain}${how}`;
  }
}

const fits = (pattern: string, name: string): boolean =>
  pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;

const isOf = (names: Names, name: string): boolean => names === "all" || [names].flat().includes(name);

/** Accept those categories, with all of their services, and no others; all of them by default. */
export async function acceptCategory(tools: Tools, names: Names = "all"): Promise<void> {
  const { services } = await details(tools.gate[0]);
  await tools.decide(tools.every((name) => isOf(names, services[name] ?? name)), "api");
}

export const rejectAll = (tools: Tools): Promise<void> => tools.decide(tools.every(() => false), "api");

export const withdraw = rejectAll;

/** Allow those services of a category and no others of it; the category is on while one is, or has none declared. */
export async function acceptService(tools: Tools, names: Names, category: string): Promise<void> {
  const [config, , effective] = tools.gate;
  const { services } = await details(config);
  const own = Object.keys(services).filter((name) => services[name] === category);
  const on = { ...effective(), [category]: !own[0] || own.some((name) => isOf(names, name)) };
  for (const name of own) on[name] = isOf(names, name);
  return tools.decide(tools.every((name) => !!on[name]), "api");
}

/** Turn a category off, with its services, or one service. */
export async function object(tools: Tools, name: string): Promise<void> {
  const [config, , effective] = tools.gate;
  const { services } = await details(config);
  const on = effective();
  return tools.decide(tools.every((other) => !!on[other] && other !== name && services[other] !== name), "api");
}

export interface Preferences {
  acceptType: "all" | "custom" | "necessary";
  acceptedCategories: string[];
  rejectedCategories: string[];
  acceptedServices: Record<string, string[]>;
  rejectedServices: Record<string, string[]>;
}

export async function getUserPreferences(tools: Tools): Promise<Preferences> {
  const [config, , effective] = tools.gate;
  const { purposes } = config;
  const { services } = await details(config);
  const on: Decisions = effective();
  const names = Object.keys(purposes);
  const categories = names.filter((name) => !services[name]);
  const split = (wanted: boolean): [string[], Record<string, string[]>] => [
    categories.filter((name) => !!on[name] === wanted),
    Object.fromEntries(
      categories.map((name) => [name, names.filter((other) => services[other] === name && !!on[other] === wanted)]),
    ),
  ];
  const [acceptedCategories, acceptedServices] = split(true);
  const [rejectedCategories, rejectedServices] = split(false);
  const acceptType = names.every((name) => on[name]) ? "all" : names.some((name) => on[name]) ? "custom" : "necessary";
  return { acceptType, acceptedCategories, rejectedCategories, acceptedServices, rejectedServices };
}

/** The proof a script-only page holds, else what the server says of the one in our cookie. */
export async function getReceipt({ gate: [config], held }: Tools): Promise<Held | unknown> {
  const { origin } = new URL(import.meta.url);
  return config.local ? held() : (await fetch(`${origin}/v1/consent?site=${config.site}`)).json();
}

export async function eraseCookies(_: Tools, names: Names): Promise<void> {
  for (const name of [names].flat()) await clear("cookie", name);
}

/** Forget the choice on this device and ask again. */
export async function reset({ show }: Tools): Promise<void> {
  await clear("cookie", "consent");
  await clear("localStorage", "consent");
  await show();
}

/**
 * Follow a link to a site that this one's banner covers, and take the choice along: a signed text in the address's
 * fragment, which no server sees, good once, for a minute, there. Without a choice, or if that fails, it is a plain link.
 */
export async function handOver({ held, post, chosen }: Tools, link: HTMLAnchorElement): Promise<void> {
  const there = new URL(link.href);
  const answer = chosen() ? await post("/handover", { to: link.dataset.consentHandover, token: held().token }).catch(() => undefined) : undefined;
  if (answer?.ok) there.hash = `consent=${((await answer.json()) as { handover: string }).handover}`;
  location.assign(there.href);
}

/** Take over a choice that came along in the address, and take it out of there. Where that fails the banner asks. */
export async function redeem({ gate: [config, , effective, apply, fire], post, keep, chosen }: Tools): Promise<void> {
  const handover = location.hash.slice("#consent=".length);
  history.replaceState(history.state, "", location.pathname + location.search);
  try {
    const answer = await post("/handover", { handover, notice: config.notice, lang: config.lang });
    if (!answer.ok) return;
    keep(await answer.json());
    if (!chosen()) return;
    fire("first", effective());
    apply();
  } catch (error) {
    fire("error", error);
  }
}
