// When what is counted besides views and attention is loaded: not before a page or a link has something for it.
import type { Activity } from "./activity.ts";
import { say, send } from "./beacons.ts";
import { config, permitted } from "./choice.ts";
import { load } from "./parts.ts";

/** Hand something over to what counts more than views. A page works without it. */
export const more = <Name extends keyof Activity>(name: Name, given: Activity[Name]): unknown =>
  permitted() && load(config.activity, (part) => part[name](config, say, given, send));

/** Whether that address has something for it: the page's own, or a link's. */
export const matters = (address: unknown): boolean => RegExp(config.pages).test(address as string);

/** What has something for it is loaded when a link to it is pointed at: it will be there when the link is followed. */
export const press = (event: Event): unknown => matters((event.target as Element | null)?.closest?.<HTMLAnchorElement>("[href]")?.href) && more("press", event as MouseEvent);
