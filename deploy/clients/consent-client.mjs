// Check on your own server what a visitor allowed: reads the consent service's tokens and permits. Node 18 or newer.
//
//     verify("permit", cookie.split("~")[3], "kent", keys, new Date())
//
// `keys` are the keys of the service's secrets/signing.keys, the second word of each line. docs/clients.md says the rest.
import { createHmac, timingSafeEqual } from "node:crypto";

const DAY = 86_400_000; // milliseconds
const VALIDITY = 180 * DAY;
const LONGEST = 2048; // characters

// What a text of that use ("token" or "permit") says while it holds at `now`, else null, which is no consent.
export function verify(use, text, site, keys, now) {
  const shape = text.length <= LONGEST && /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/.exec(text);
  if (!shape || !keys.some((key) => same(signed(use, shape[1], site, key), shape[2]))) return null;
  const [notice, bits, time, ...more] = JSON.parse(Buffer.from(shape[1], "base64url").toString("utf8"));
  const decisions = Object.fromEntries(Object.entries(bits).map(([purpose, bit]) => [purpose, bit === 1]));
  const lapses = Date.parse(time) + VALIDITY + (use === "permit" ? DAY : 0);
  if (now.getTime() >= lapses) return null;
  if (use === "permit") return { notice, decisions, time, explicit: more[0] === 1 };
  const [method = "", lang = "", id = ""] = more;
  return { notice, decisions, time, method, lang, id };
}

function signed(use, payload, site, key) {
  const derived = createHmac("sha256", key).update(`consent.${use}.${site}`).digest();
  return createHmac("sha256", derived).update(payload).digest("base64url");
}

function same(one, other) {
  return one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other));
}
