// What passes between the parts of the banner and what the server tells it.

/** The answer of /v1/sites/<site>/config, or the macro's data-consent attribute. What is empty or false is not in it. */
export interface Config {
  readonly site: string;
  /** SHA-256 of the privacy notice, 64 hexadecimal digits. */
  readonly notice: string;
  readonly timeZone: string;
  readonly lang: string;
  /** Whether the choice is kept in the page's own storage, since no server of the site's host can keep it. */
  readonly local?: boolean;
  /** What a visitor decides on, purposes and their services in order, each with what holds while nothing is chosen. */
  readonly purposes: Readonly<Decisions>;
  /** What a choice must be of to hold: the first 8 digits of the notice, and those names, with commas between. */
  readonly asked: string;
  /** What needs no choice. */
  readonly always?: Readonly<Decisions>;
  /** What beacons carry while nobody has chosen, if anything runs without a choice. */
  readonly permit?: string;
  /** The file that counts more than views and attention; an address like `ui`. */
  readonly activity: string;
  /**
   * The pattern of addresses with something for that file: results of the site's own search, steps of funnels, and where
   * links are counted, all that leads away or to a file.
   */
  readonly pages: string;
  /** Whether links that lead away, downloads and pages not found are counted. */
  readonly links?: boolean;
  readonly funnels?: Readonly<Record<string, readonly string[]>>;
  /** Whether each view and goal says where its visit came from and in. */
  readonly crossed?: boolean;
  readonly goals?: readonly string[];
  /** The query parameter of the site's own search. */
  readonly search?: string;
  /** The files of the banner's part and of its look, as addresses relative to the gate's file. */
  readonly ui: string;
  readonly css: string;
}

export type Decisions = Record<string, boolean>;

/**
 * What holds, and what beacons carry then (nothing where nothing allows any). `unheard` tells what is still to be done: 1
 * where nobody has chosen, else the method of a choice that the server has not heard of.
 */
export type State = readonly [decisions: Decisions, permit: string | undefined, unheard?: string | number | undefined];

/** What a script-only page keeps: the text that the cookie holds elsewhere, the signed proof, and the id of its record. */
export interface Held {
  readonly value?: string;
  readonly token?: string;
  readonly receipt?: string;
}

/** What the gate hands to the banner's part, as the arguments of its `start`. */
export type Gate = [
  config: Config,
  state: () => State,
  /** What holds now, chosen or by default, with what needs no choice. */
  effective: () => Decisions,
  /** Let run what may run. */
  apply: () => void,
  fire: (name: string, detail?: unknown) => unknown,
];

/** What the banner's part hands to the seldom-used part. */
export interface Tools {
  readonly gate: Gate;
  held(): Held;
  /** Keep what the server answered to a choice. */
  keep(kept: Held): void;
  /** Whether there is a choice. */
  chosen(): boolean;
  decide(decisions: Decisions, method: string): Promise<void>;
  /** Send as JSON to that address of the service. */
  post(path: string, body: unknown): Promise<Response>;
  /** A decision about everything that is asked. */
  every(on: (name: string) => boolean): Decisions;
  /** Ask the server for the banner or the preferences. */
  fetch(part: string): Promise<HTMLElement>;
  /** The banner of this page; fetched as that part where there is none yet. */
  open(part?: string): Promise<HTMLElement>;
  show(): Promise<void>;
}

/** What the gate asks of the banner's part; the names of the JavaScript API come on top. */
export interface Ui {
  /** Bring the page in line with the choice: ask if there is none, stop asking if there is one. */
  refresh(): Promise<void>;
  show(): Promise<void>;
  hide(): void;
  showPreferences(): Promise<void>;
  withdraw(): Promise<void>;
  /** Something with data-consent-open was pressed. */
  opened(opener: HTMLAnchorElement): Promise<void>;
  /** Follow a link to a site that this one's banner covers, and take the choice along. */
  handOver(link: HTMLAnchorElement): Promise<void>;
  /** See that what has the focus does not lie under the bar. */
  uncover(bar: HTMLElement, target: Element): void;
  /** Take over a choice that came along in the address. */
  redeem(): Promise<void>;
  /** Take away what those left here. Resolves to what to tell: `note`, or "reload" if something of theirs still runs. */
  stop(off: readonly string[], note: string): Promise<string>;
}
