// What was chosen, where that is kept and while it holds, and what holds without it. The rest of the gate asks here.
import type { Config, Decisions, State } from "./types.ts";

const LAPSES = 180 * 864e5;
/** `State.unheard` while nobody has chosen. */
export const UNMADE = 1;

/** What the server told of this site; there is one in a page. */
export let config: Config;
export const configure = (told: string): Config => (config = JSON.parse(told) as Config);

/**
 * The choice kept in the readable cookie of the site's own server, or in local storage of a script-only site, if it is of
 * this notice, these purposes and the last 180 days; else what holds without one, which is nothing under a signal.
 */
export const state = (): State => {
  try {
    const text: string = config.local ? JSON.parse(localStorage.consent).value : document.cookie.match(/(^|; )consent=([^;]*)/)![2]!;
    const [notice, day, bits, permit, unheard] = text.split("~") as [string, string, string, string, string?];
    const decisions: Decisions = {};
    for (const bit of bits.split("+")) decisions[bit.slice(0, -2)] = bit.slice(-1) > "0";
    if (Date.parse(day) + LAPSES > Date.now() && `${[notice, ...Object.keys(decisions)]}` === config.asked)
      return [decisions, permit, unheard];
  } catch {
    // Nothing is kept here, or nothing may be read.
  }
  return [((navigator as { globalPrivacyControl?: boolean }).globalPrivacyControl || config.purposes) as Decisions, config.permit, UNMADE];
};

/** What holds now, chosen or by default. */
export const effective = (): Decisions => ({ ...config.always, ...state()[0] });

/** What beacons carry; nothing while statistics are off. */
export const permitted = (): string | false | undefined => effective().statistics && state()[1];
