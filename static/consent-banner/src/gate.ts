// On every page: what was chosen, what may run, and the page view. The banner itself is loaded only when it is needed.
import { release } from "./blocking.ts";
import { parse, stored } from "./choice.ts";
import { forget } from "./counters.ts";
import type { Choice, Config, Decisions, Ui } from "./types.ts";
import { views } from "./views.ts";

type Call = [name: string, ...given: unknown[]];
type Api = Record<string, (...given: any[]) => unknown>;

const { origin } = new URL(import.meta.url);
const page = window as unknown as { ConsentBanner?: Api | Call[] };

/** Begin. The script tag of a server-rendered page does it by its data-consent, the loader by calling this. */
export function start(config: Config): void {
  const waiting = page.ConsentBanner ?? [];
  if (!Array.isArray(waiting)) return;
  const signal = !!(navigator as { globalPrivacyControl?: boolean }).globalPrivacyControl;

  const choice = (): Choice | undefined => parse(stored(config), config);
  const effective = (): Decisions => choice()?.decisions ?? (signal ? {} : config.purposes);
  const [view, goal] = views(config, origin, () => effective().statistics && (choice() ?? config).permit.replace(/^!.*/, ""));
  const fire = (name: string, detail?: unknown) => document.dispatchEvent(new CustomEvent("consent:" + name, { detail }));
  const fail = (error: unknown): unknown => fire("error", error);
  const ui = (use: (ui: Ui) => unknown, otherwise = fail): Promise<unknown> =>
    import(config.ui).then((part) => use(part.start(config, choice, effective, apply, fire))).catch(otherwise);
  const apply = (): void => {
    const on = effective();
    release(on, fail, (script) => ui((loaded) => loaded.trust(script)));
    view();
    // A frame, a banner, no choice yet, or one the server has not heard of: then there is something to show or to do.
    if (document.querySelector("iframe[data-src],#consent-ui") || (choice()?.permit ?? "!")[0] === "!")
      ui((loaded) => loaded.refresh());
    if (!on.statistics && (stored(config) || signal)) forget();
  };

  // A service is asked for by itself where it was declared, else by its category.
  const accepted = (name: string, category?: string): boolean => !!(effective()[name] ?? effective()[category!]);
  const api: Api = {
    run: apply,
    track: goal,
    validConsent: () => !!choice(),
    acceptedCategory: accepted,
    acceptedService: accepted,
    push: ([name, ...given]: Call) => (page.ConsentBanner as Api)[name]!(...given),
  };
  // Everything else of the API comes with the banner's part. (A thing with a `then` could not be awaited.)
  page.ConsentBanner = new Proxy(api, {
    get: (own, name: string) => own[name] ?? (name !== "then" && ((...given: unknown[]) => ui((loaded) => (loaded as unknown as Api)[name]!(...given)))),
  });

  document.addEventListener("click", (event) => {
    const opener = (event.target as Element).closest<HTMLAnchorElement>("[data-consent-open]");
    if (!opener) return;
    event.preventDefault();
    // data-consent-open="withdraw" takes everything back at once.
    ui((loaded) => loaded[(opener.dataset.consentOpen || "showPreferences") as "withdraw"](), () => opener.href && location.assign(opener.href));
  });
  // pushState, replaceState, back and forward, without touching the page's own history functions.
  (window as { navigation?: EventTarget }).navigation?.addEventListener("currententrychange", view);
  addEventListener("pageshow", (event) => event.persisted && view(true));

  const begin = (): void => {
    apply();
    fire("ready", effective());
    waiting.forEach(api.push!);
  };
  const early = document as { prerendering?: boolean; onprerenderingchange?: () => void };
  if (early.prerendering) early.onprerenderingchange = begin;
  else begin();
}

const tag = document.querySelector<HTMLElement>("script[data-consent]");
if (tag) start(JSON.parse(tag.dataset.consent!));
