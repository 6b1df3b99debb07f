// The parts that are loaded when a page needs them, and what is told of it.
export type Part<Given extends unknown[], Made> = { start(...given: Given): Made };

export type Call = [name: string, ...given: unknown[]];
export type Api = Record<string, (...given: any[]) => unknown>;

/** What a page may have. What has an id is a property of the window, too. */
export const page = window as unknown as { ConsentBanner?: Api | Call[]; "consent-ui"?: HTMLElement; navigation?: EventTarget };

export const fire = (name: string, detail?: unknown): boolean => document.dispatchEvent(new CustomEvent("consent:" + name, { detail }));
export const fail = (error: unknown): unknown => fire("error", error);

/** Load a file of ours and use what it has. */
export const load = (file: string, use: (part: any) => unknown, otherwise = fail): Promise<unknown> => import(file).then(use).catch(otherwise);
