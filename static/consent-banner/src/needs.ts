// When what is counted besides views and attention is loaded: not before a page or a link has something for it.
import type { Activity, Need } from "./activity.ts";
import { say, send } from "./beacons.ts";
import { config, permitted } from "./choice.ts";
import { load } from "./parts.ts";

/** In their order, which imports that wait for one file do not keep; and until the file could be loaded. */
const waiting: Need[] = [];

/** Hand something over to what counts more than views. A page works without it. */
export const more = (...need: Need): unknown =>
  permitted() && waiting.push(need) && load(config.activity, (part: Activity) => part.count(waiting, config, say, send));

/** Whether an address has something for it: the page's own, or a link's. */
export const matters = ({ href }: { href?: string }): boolean => RegExp(config.pages).test(href!);
