// What passes between the parts of the banner and what the server tells it.

/** The answer of /v1/sites/<site>/config, or the macro's data-consent attribute. */
export interface Config {
  readonly site: string;
  /** SHA-256 of the privacy notice, 64 hexadecimal digits. */
  readonly notice: string;
  readonly timezone: string;
  readonly lang: string;
  readonly embed: "same-host" | "script";
  /** The purposes a visitor decides on. */
  readonly purposes: Readonly<Record<string, "consent" | "objectable">>;
  /** What beacons carry while nobody has chosen; "" when nothing runs without a choice. */
  readonly permit: string;
  readonly goals: readonly string[];
  /** The query parameter of the site's own search, or "". */
  readonly search: string;
  readonly ui: string;
  readonly css: string;
  /** The button and the note of a blocked frame's placeholder; {host} stands for whose content it is. */
  readonly placeholder: readonly [string, string];
}

export type Decisions = Record<string, boolean>;

/** A choice that still holds. `permit` is "" for a refusal, and `!method` while the server has not heard of it. */
export interface Choice {
  readonly decisions: Decisions;
  readonly permit: string;
}

/** What a script-only page keeps: the text that the cookie holds elsewhere, and the signed proof. */
export interface Held {
  readonly value?: string;
  readonly token?: string;
}

/** What the gate hands to the banner's part, as the arguments of its `start`. */
export type Gate = [
  config: Config,
  choice: () => Choice | undefined,
  /** What holds now, chosen or by default. */
  effective: () => Decisions,
  /** Let run what may run. */
  apply: () => void,
  fire: (name: string, detail?: unknown) => unknown,
];

/** What the banner's part hands to the seldom-used part. */
export interface Tools {
  readonly gate: Gate;
  held(): Held;
  decide(decisions: Decisions, method: string): Promise<void>;
  /** The banner's style sheet, once it is there. */
  style(): Promise<unknown>;
  show(): Promise<void>;
}

/** What the gate asks of the banner's part; the names of the JavaScript API come on top. */
export interface Ui {
  /** Bring the page in line with the choice: ask if there is none, stop asking if there is one, show frames. */
  refresh(): Promise<void>;
  show(): Promise<void>;
  hide(): void;
  showPreferences(): Promise<void>;
  /** Give a waiting script the address in its data-src. */
  trust(script: HTMLScriptElement): Promise<void>;
  /** Load the frames that may be shown, put a button where one may not. */
  frames(): Promise<void>;
  /** Take away what those purposes left here. Resolves to what to tell: "saved", or "reload" if something still runs. */
  stop(off: readonly string[]): Promise<string>;
}
