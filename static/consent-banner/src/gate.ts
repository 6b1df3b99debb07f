// On every page: what was chosen, what may run, and the page view. The banner itself is loaded only when it is needed.
import { config, configure, effective, state, UNMADE } from "./choice.ts";
import { type Api, type Call, fail, fire, load, page } from "./parts.ts";
import type { Part } from "./parts.ts";
import type { Gate, Ui } from "./types.ts";
import { track, view } from "./views.ts";

/** The file of waiting.ts, whose name the build puts here. */
declare const WAITING: string;


const ui = (use: (ui: Ui) => unknown, otherwise?: typeof fail): Promise<unknown> =>
  load(config.ui, (part: Part<Gate, Ui>) => use(part.start(config, state, effective, apply, fire)), otherwise);

/** Bring the page in line with what holds. */
const apply = (): void => {
  if (document.querySelector("[data-category]")) load(WAITING, (part) => part.release(config, effective, fire));
  view();
  // No choice yet, one the server has not heard of, or a banner: then there is something to show or to do.
  if (state()[2] || page["consent-ui"]) ui((loaded) => loaded.refresh());
};

// A service is asked for by itself where it was declared, else by its category.
const accepted = (name: string, category?: string): boolean => !!(effective()[name] ?? effective()[category!]);
const api: Api = {
  run: apply,
  track,
  acceptedCategory: accepted,
  acceptedService: accepted,
  validConsent: () => state()[2] !== UNMADE,
  push: ([name, ...given]: Call) => (page.ConsentBanner as Api)[name]!(...given),
};

// The script tag of a server-rendered page has the config, or the loader's own, which waits for it.
configure(document.querySelector<HTMLElement>("script[data-consent]")!.dataset.consent!);
const waiting = (page.ConsentBanner ?? []) as Call[];
// Everything else of the API comes with the banner's part. (A thing with a `then` could not be awaited.)
page.ConsentBanner = new Proxy(api, {
  get: (own, name: string) => own[name] ?? (name === "then" || ((...given: unknown[]) => ui((loaded) => (loaded as unknown as Api)[name]!(...given)))),
}) as Api;
addEventListener("click", (event) => {
  const opener = (event.target as Element).closest<HTMLAnchorElement>("[data-consent-open]");
  if (!opener) return;
  event.preventDefault();
  ui((loaded) => loaded.opened(opener), () => opener.href && ((location as unknown as string) = opener.href));
});
const begin = (): void => {
  apply();
  fire("ready", effective());
  waiting.forEach(api.push!);
};
if ((document as { prerendering?: boolean }).prerendering) (document as { onprerenderingchange?: () => void }).onprerenderingchange = begin;
else begin();
