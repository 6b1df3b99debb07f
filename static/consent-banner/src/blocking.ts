// Scripts that wait for a choice: let go in their order, each fault by itself. (Frames are let go by the banner's part.)
import type { Decisions } from "./types.ts";

/** Let every waiting script of an allowed category run. `fail` hears of each that did not; `trust` makes a `data-src` safe. */
export async function release(
  on: Decisions,
  fail: (error: unknown) => void,
  trust: (script: HTMLScriptElement) => unknown,
): Promise<void> {
  for (const script of document.querySelectorAll<HTMLScriptElement>("script[type='text/plain'][data-category]")) {
    const { category, service, type, src } = script.dataset;
    if (on[service!] ?? on[category!])
      try {
        if (src) await trust(script);
        // The very same element is put back: source, nonce and trusted text stay what the page's author wrote, so that
        // neither a nonce policy nor Trusted Types see anything new. The next waits for it, unless it is async.
        script.type = type ?? "";
        script.async = script.matches("[async]");
        await new Promise((resolve, reject) => {
          script.addEventListener("load", resolve);
          script.addEventListener("error", reject);
          script.replaceWith(script);
          if (!script.src || script.async) resolve(0);
        });
      } catch (error) {
        fail(error);
      }
  }
}
