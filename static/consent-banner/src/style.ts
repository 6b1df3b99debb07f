// What is fetched into the page besides scripts.

/** Resolves once that has loaded, and rejects when it cannot be. */
export const loaded = (target: { onload: unknown; onerror: unknown }): Promise<unknown> =>
  new Promise((resolve, reject) => {
    target.onload = resolve;
    target.onerror = reject;
  });

/** Put a style sheet of ours into the page; resolves once it is there. */
export async function style(name: string): Promise<void> {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL(name, import.meta.url).href;
  document.head.append(link);
  await loaded(link);
}
