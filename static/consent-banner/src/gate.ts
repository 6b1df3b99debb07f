// On every page: what was chosen, what may run, and the page view. The banner itself is loaded only when it is needed.
import { config, configure, effective, state, UNMADE } from "./choice.ts";
import type { Config, Ui } from "./types.ts";
import { follow, track, view } from "./views.ts";

/** The file of waiting.ts, whose name the build puts here. */
declare const WAITING: string;

type Call = [name: string, ...given: unknown[]];
type Api = Record<string, (...given: any[]) => unknown>;

/** What has an id is a property of the window, too. */
const page = window as unknown as { ConsentBanner?: Api | Call[]; "consent-ui"?: HTMLElement };

const fire = (name: string, detail?: unknown) => document.dispatchEvent(new CustomEvent("consent:" + name, { detail }));
const fail = (error: unknown): unknown => fire("error", error);
const ui = (use: (ui: Ui) => unknown, otherwise = fail): Promise<unknown> =>
  import(config.ui).then((part) => use(part.start(config, state, effective, apply, fire))).catch(otherwise);

/** Bring the page in line with what holds. */
function apply(): void {
  if (document.querySelector("[data-category]")) import(WAITING).then((part) => part.release(config, effective, fire)).catch(fail);
  view();
  // No choice yet, one the server has not heard of, or a banner: then there is something to show or to do.
  if (state().unheard || page["consent-ui"]) ui((loaded) => loaded.refresh());
}

// A service is asked for by itself where it was declared, else by its category.
const accepted = (name: string, category?: string): boolean => !!(effective()[name] ?? effective()[category!]);
const api: Api = {
  run: apply,
  track,
  acceptedCategory: accepted,
  acceptedService: accepted,
  validConsent: () => state().unheard !== UNMADE,
  push: ([name, ...given]: Call) => (page.ConsentBanner as Api)[name]!(...given),
};

/** Begin. The script tag of a server-rendered page does it by its data-consent, the loader by calling this. */
export function start(told: Config): void {
  const waiting = (page.ConsentBanner ?? []) as Call[];
  if (config) return;
  configure(told);
  // Everything else of the API comes with the banner's part. (A thing with a `then` could not be awaited.)
  page.ConsentBanner = new Proxy(api, {
    get: (own, name: string) => own[name] ?? (name === "then" || ((...given: unknown[]) => ui((loaded) => (loaded as unknown as Api)[name]!(...given)))),
  }) as Api;
  addEventListener("click", (event) => {
    const opener = (event.target as Element).closest<HTMLAnchorElement>("[data-consent-open],[data-consent-handover]");
    if (!opener) return;
    event.preventDefault();
    ui((loaded) => loaded.opened(opener), () => opener.href && (location.href = opener.href));
  });
  follow();
  const begin = (): void => {
    apply();
    fire("ready", effective());
    waiting.forEach(api.push!);
  };
  if ((document as { prerendering?: boolean }).prerendering) (document as { onprerenderingchange?: () => void }).onprerenderingchange = begin;
  else begin();
}

const tag = document.querySelector<HTMLElement>("script[data-consent]");
if (tag) start(JSON.parse(tag.dataset.consent!));
