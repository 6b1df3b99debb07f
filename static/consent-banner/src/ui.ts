// The banner: loaded when there is something to ask or to change. The preferences come with more.ts.
import { loaded, style } from "./style.ts";
import type { Decisions, Gate, Held, Ui } from "./types.ts";

/** The file of the seldom-used part, whose name the build puts here. */
declare const MORE: string;

const LIFETIME = 180 * 86400; // seconds
const PATIENCE = 8000; // milliseconds: until a choice counts as not sent, until a message goes away
const { origin } = new URL(import.meta.url);
let ui: Ui | undefined;

/** The one banner of this page. */
export const start = (...gate: Gate): Ui => (ui ??= make(...gate));

function make(...gate: Gate): Ui {
  const [config, state, effective, apply, fire] = gate;
  let opening: Promise<HTMLElement> | undefined;
  let bar: HTMLElement | undefined;
  let back: HTMLElement | null;
  let tried: boolean;
  /** Whether the bar stays although something holds, because the visitor's privacy signal said it and not a click. */
  let asking: unknown;

  /** Take over the banner that the server put into this page, else fetch one, which comes hidden. */
  async function open(part: string): Promise<HTMLElement> {
    let root = document.getElementById("consent-ui");
    if (!root) {
      [root] = await Promise.all([tools.fetch(part), style(config.css)]);
      document.body.prepend(root);
    }
    bar = root.children[0] as HTMLElement;
    bar.addEventListener("submit", submit);
    document.addEventListener("focusin", ({ target, relatedTarget }) => {
      if (!root.contains(target as Node)) bar!.hidden || self.uncover(bar!, target as Element);
      else if (!root.contains(relatedTarget as Node)) back = relatedTarget as HTMLElement;
    });
    return root;
  }

  function submit(event: Event): void {
    event.preventDefault();
    const { value, formAction } = (event as SubmitEvent).submitter as HTMLButtonElement;
    if (value === "choose") self.showPreferences().catch(() => location.assign(`${formAction}?site=${config.site}`));
    else decide(tools.every(() => value === "accept"), `banner-${value}-all`);
  }

  /** Send a choice. It holds here once the server has it, or for now where the server cannot be reached. */
  async function decide(decisions: Decisions, method: string, quiet?: unknown): Promise<void> {
    // A choice that could not be sent waits for the next page or for the network, not for this page's next look.
    tried = true;
    const before = effective();
    const unheard = tools.chosen() && state()[2];
    const event = tools.chosen() ? "change" : "first";
    let note = "saved";
    try {
      const answer = await tools.post("", { notice: config.notice, decisions, method, lang: config.lang, token: held().token });
      if (answer.ok) keep(await answer.json());
      else if (answer.status < 500) note = "failed";
      else throw answer.status;
    } catch (error) {
      const bits = Object.entries(decisions).map(([name, on]) => `${name}.${+on}`).join("+");
      keep({ value: `${config.notice.slice(0, 8)}~${new Date().toISOString().slice(0, 10)}~${bits}~~${method}` });
      note = "offline";
      fire("error", error);
    }
    const now = effective();
    // Whoever listens hears of the choice before what waited for it runs.
    if (event === "first" || JSON.stringify(before) !== JSON.stringify(now)) fire(event, now);
    // What was off already when it could not be sent may not have been cleared either.
    const off = Object.keys(now).filter((name) => (before[name] || unheard) && !now[name]);
    if (off[0]) note = await self.stop(off, note).catch(() => note);
    apply();
    if (!quiet) await tell(note);
  }

  function held(): Held {
    try {
      return JSON.parse(localStorage.consent);
    } catch {
      return {};
    }
  }

  function keep({ value, token = held().token, receipt }: Held): void {
    try {
      if (config.local) localStorage.consent = JSON.stringify({ value, token, receipt });
      else if (!document.cookie.includes(value!)) document.cookie = `consent=${value};path=/;max-age=${LIFETIME};samesite=lax`;
    } catch {
      // Nothing may be kept, so nothing optional runs.
    }
  }

  /** Take the banner away, say what happened, and see that the focus is somewhere. */
  async function tell(note: string): Promise<void> {
    const root = await tools.open();
    const status = root.children[1] as HTMLElement;
    root.querySelector("dialog")?.close();
    asking = 0;
    if (tools.chosen()) tools.hide();
    status.textContent = status.dataset[note]!;
    if (document.activeElement === document.body || bar!.contains(document.activeElement)) (back?.isConnected ? back : status).focus();
    setTimeout(() => (status.textContent = ""), PATIENCE);
  }

  const retry = (): void => {
    const [decisions, , unheard] = state();
    if (unheard && tools.chosen()) decide(decisions, unheard as string, true);
  };

  const tools = {
    gate,
    held,
    keep,
    decide,
    chosen: () => state()[2] !== 1,
    post: (path: string, body: object) =>
      fetch(`${origin}/v1/consent${path}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        keepalive: true,
        signal: AbortSignal.timeout(PATIENCE),
        body: JSON.stringify({ site: config.site, ...body }),
      }),
    every: (on: (name: string) => boolean): Decisions =>
      Object.fromEntries(Object.keys(config.purposes).map((name) => [name, on(name)])),
    async fetch(part: string) {
      const request = new XMLHttpRequest();
      request.open("GET", `${origin}/v1/sites/${config.site}/${part}`);
      request.responseType = "document";
      request.send();
      await loaded(request);
      return document.importNode(request.response.getElementById("consent-ui") as HTMLElement, true);
    },
    open: (part = "banner") =>
      (opening ??= open(part).catch((error) => {
        opening = undefined;
        throw error;
      })),
    async refresh() {
      if (!tools.chosen() && location.hash.startsWith("#consent=")) await self.redeem();
      if (!tools.chosen() && navigator.cookieEnabled) return config.purposes && tools.show();
      if (document.getElementById("consent-ui")) await tools.open();
      if (!asking) tools.hide();
      if (!tried) retry();
    },
    async show() {
      await tools.open();
      bar!.hidden = false;
      fire("show");
      if (!tools.chosen() && (navigator as { globalPrivacyControl?: boolean }).globalPrivacyControl) {
        fire("gpc");
        asking = decide(tools.every(() => false), "gpc", true);
      }
    },
    opened: (opener: HTMLAnchorElement) => self[(opener.dataset.consentOpen || "showPreferences") as "handOver"](opener),
    hide() {
      if (bar) bar.hidden = true;
      document.documentElement.style.paddingBottom = "";
    },
  };
  const self = new Proxy(tools, {
    get: (_, name: string) =>
      tools[name as keyof typeof tools] ?? ((...given: unknown[]) => import(MORE).then((part) => part[name](tools, ...given))),
  }) as unknown as Ui;
  addEventListener("online", retry);
  document.addEventListener("visibilitychange", () => tools.chosen() && !asking && tools.hide());
  return self;
}
