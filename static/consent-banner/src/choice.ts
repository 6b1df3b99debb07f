// Where a choice is kept and when it still holds: a readable cookie on the site's own server, else local storage.
import type { Choice, Config } from "./types.ts";

const LAPSES = 180 * 864e5;

/** The text kept on this device, valid or not; "" when there is none or it may not be read. */
export function stored(config: Config): string {
  try {
    return config.embed === "script"
      ? JSON.parse(localStorage.consent).value
      : document.cookie.match(/(^|; )consent=([^;]*)/)![2]!;
  } catch {
    return "";
  }
}

/** The choice in a stored text, unless it is not of this notice, these purposes and the last 180 days. */
export function parse(text: string, config: Config): Choice | undefined {
  const [notice = "", day = "", bits = "", permit = ""] = text.split("~");
  const decisions = Object.fromEntries(bits.split("+").map((bit) => [bit.slice(0, -2), bit.endsWith("1")]));
  return config.notice.startsWith(notice) &&
    Date.parse(day) + LAPSES > Date.now() &&
    keys(decisions) === keys(config.purposes)
    ? { decisions, permit }
    : undefined;
}

const keys = (record: object): string => `${Object.keys(record).sort()}`;
