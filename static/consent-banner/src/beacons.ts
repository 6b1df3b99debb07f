// Beacons: anonymiser/facts.py says what one holds and how long its texts may be (a path 512, a word 128). They carry the
// permit and no identifier, and what they say is what the visitor's own counters say.
import { config, permitted } from "./choice.ts";
import type { Change, Fields } from "./counters.ts";
import { fail } from "./parts.ts";

const DATABASE = "consent-banner";

/** The page that is shown. */
export const path = (): string => location.pathname.slice(0, 512);

/** Send a beacon, unless the choice was taken back since, here or in another tab. */
export const send = (said: Fields): void => {
  const permit = permitted();
  if (permit)
    fetch(new URL("/v1/collect", import.meta.url), {
      method: "POST",
      // No cookie travels, but on the day's first view the date of the last one (consent_app/collect.py).
      credentials: said.gap ? "same-origin" : "omit",
      keepalive: true,
      // The number only tells a repetition from a second view.
      body: JSON.stringify({ schema: 1, site: config.site, permit, nonce: Math.random().toFixed(16).slice(-16), ...said }),
    }).catch(fail);
};

/**
 * Make a change of the counters in one transaction, so that two tabs never say the same ordinal, and say what it says
 * once it is written. While statistics are off the counters are cleared instead, whoever turned them off and where.
 */
export const say = (kind: string, change: Change, then: (said: Fields) => void = send): void => {
  const at = path();
  try {
    if (!permitted()) indexedDB.deleteDatabase(DATABASE);
    else if (!localStorage.uncounted) {
      const opening = indexedDB.open(DATABASE);
      opening.onupgradeneeded = () => opening.result.createObjectStore(DATABASE);
      opening.onsuccess = () => {
        const transaction = opening.result.transaction(DATABASE, "readwrite");
        const store = transaction.objectStore(DATABASE);
        const getting = store.get(0);
        getting.onsuccess = () => {
          const day = Intl.DateTimeFormat("sv", config).format();
          const [counters, ...said] = change(getting.result, day, Date.now());
          store.put(counters, 0);
          transaction.oncomplete = () => said.forEach((one) => one && then({ kind, path: at, ...one }));
        };
        opening.result.close();
      };
    }
  } catch {
    // Storage is denied: then this is not counted, and the page must not notice.
  }
};
