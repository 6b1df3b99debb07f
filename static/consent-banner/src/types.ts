// What passes between the parts of the banner and what the server tells it.

/** The answer of /v1/sites/<site>/config, or the macro's data-consent attribute. */
export interface Config {
  readonly site: string;
  /** SHA-256 of the privacy notice, 64 hexadecimal digits. */
  readonly notice: string;
  readonly timezone: string;
  readonly lang: string;
  readonly embed: "same-host" | "script";
  /** What a visitor decides on, purposes and their services, each with what holds while nothing is chosen. */
  readonly purposes: Readonly<Decisions>;
  /** The purpose of each service. */
  readonly services: Readonly<Record<string, string>>;
  /** What each of them stores, as `kind:name` with spaces between; those that are always on too. */
  readonly clear: Readonly<Record<string, string>>;
  /** What beacons carry while nobody has chosen; "" when nothing runs without a choice. */
  readonly permit: string;
  readonly goals: readonly string[];
  /** The query parameter of the site's own search, or "". */
  readonly search: string;
  /** The files of the banner's part and of its look, as addresses relative to the gate's file. */
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

/** What a script-only page keeps: the text that the cookie holds elsewhere, the signed proof, and the id of its record. */
export interface Held {
  readonly value?: string;
  readonly token?: string;
  readonly receipt?: string;
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
  /** A decision about everything that is asked. */
  every(on: (name: string) => boolean): Decisions;
  /** Put a style sheet of ours into the page; resolves once it is there. */
  style(name: string): Promise<void>;
  /** Ask the server for the banner or the preferences. */
  fetch(part: string): Promise<HTMLElement>;
  /** The banner of this page; fetched as that part where there is none yet. */
  open(part?: string): Promise<HTMLElement>;
  show(): Promise<void>;
}

/** What the gate asks of the banner's part; the names of the JavaScript API come on top. */
export interface Ui {
  /** Bring the page in line with the choice: ask if there is none, stop asking if there is one, show frames. */
  refresh(): Promise<void>;
  show(): Promise<void>;
  hide(): void;
  showPreferences(): Promise<void>;
  withdraw(): Promise<void>;
  /** Give a waiting script the address in its data-src. */
  trust(script: HTMLScriptElement): Promise<void>;
  /** Load the frames that may be shown, put a button where one may not. */
  frames(): Promise<void>;
  /** Take away what those left here. Resolves to what to tell: `note`, or "reload" if something of theirs still runs. */
  stop(off: readonly string[], note: string): Promise<string>;
}
