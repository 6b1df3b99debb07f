// How long and how far: seconds of attention and the deepest scroll of the visitor's day, told as the steps between two
// of eight buckets, so that all that a browser says in a day is one chain of each.
import { say } from "./beacons.ts";
import { matters, more } from "./needs.ts";
import { type Change, type Fields, passed } from "./counters.ts";

const EIGHTHS = 8;
/** Nobody is taken to read for more than these milliseconds after the last thing they did. */
const PATIENCE = 30e3;
/** Seconds of attention after which the next thing a visitor does writes them down. */
const UNWRITTEN = 1;
const SIGNS = "visibilitychange scroll click keydown pointermove pointerdown blur".split(" ");

/** The bucket of so many seconds, from 1. */
export const bucket = (seconds: number): number => passed([0, 10, 30, 60, 120, 300, 600, 1800], seconds);

/**
 * Add seconds of attention and a depth to the counters of the day of the last view; whoever has viewed nothing adds
 * nothing. Says which bucket is left for which, if any. As that is cut from the counters in one transaction, what all
 * tabs of a day say is one chain from 0 to the bucket reached.
 */
export const engage =
  (seconds: number, scroll: number): Change =>
  (c) => {
    if (!c?.n) return [c];
    let said: Fields | undefined;
    c.seconds += seconds;
    for (const [chain, to] of Object.entries({ engaged: bucket(c.seconds), scroll }) as ["engaged" | "scroll", number][])
      if (to > c[chain]) said = { ...said, day: c.day, [chain]: [c[chain], (c[chain] = to)] };
    return [c, said];
  };

/**
 * Watch this page. Attention is written while the visitor is active, since a page that is being left writes no more; a
 * page that is only hidden lives on and writes then.
 */
export const watch = (): void => {
  let since: number | undefined;
  let attentive: boolean;
  let seconds = 0;

  const write = (): void => {
    say("engagement", engage(seconds, Math.min(EIGHTHS, Math.ceil((EIGHTHS * (scrollY + innerHeight)) / document.documentElement.scrollHeight))));
    seconds = 0;
    // While the page is read, not when a link is pressed: what counts that would not arrive before the page is left.
    if ([...(document.links as unknown as HTMLAnchorElement[])].some(matters)) more("links");
  };

  const notice = ({ timeStamp }: Event): void => {
    const first = !since;
    if (attentive) seconds += Math.min(timeStamp - since!, PATIENCE) / 1000;
    since = timeStamp;
    attentive = document.hasFocus();
    if (seconds > UNWRITTEN || (attentive && first)) write();
    // A moment later: a page that goes into the back/forward cache, which takes none that is writing, writes on its return.
    if (document.hidden) attentive = !setTimeout(write);
  };

  notice(new Event(""));
  for (const sign of SIGNS) addEventListener(sign, notice, true);
};
