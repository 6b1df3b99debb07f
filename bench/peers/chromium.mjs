// Real Chromium over its own pipe (the DevTools protocol): nothing between it and us, so nothing to install.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FLAGS = [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-extensions", "--remote-debugging-pipe",
  // A browser that is driven says so in two ways, and some banners hide from robots.
  "--disable-blink-features=AutomationControlled",
  "--user-agent=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
];

/** The promise's value, or an error that says what did not come. */
function withinAMinute(what, promise) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`${what}: nothing for a minute`)), 60_000)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A browser: `send(method, params, session)`, `fresh()` for a visitor who was never here, `close()`. */
export class Chromium {
  #waiting = new Map();
  #listeners = new Map();
  #number = 0;

  constructor(program) {
    this.profile = mkdtempSync(join(tmpdir(), "banner-bench-"));
    this.process = spawn(program, [...FLAGS, `--user-data-dir=${this.profile}`], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    let rest = "";
    this.process.stdio[4].setEncoding("utf8").on("data", (text) => {
      const parts = (rest + text).split("\0");
      rest = parts.pop();
      for (const part of parts) this.#hear(JSON.parse(part));
    });
  }

  #hear({ id, result, error, method, params, sessionId }) {
    if (!id) return this.#listeners.get(sessionId)?.(method, params);
    const [resolve, reject] = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) reject(new Error(`${error.message} ${error.data ?? ""}`));
    else resolve(result);
  }

  send(method, params = {}, sessionId = undefined) {
    const id = ++this.#number;
    this.process.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + "\0");
    return withinAMinute(method, new Promise((resolve, reject) => this.#waiting.set(id, [resolve, reject])));
  }

  async fresh() {
    const { browserContextId } = await this.send("Target.createBrowserContext");
    return new Visitor(this, browserContextId);
  }

  listen(session, hear) {
    this.#listeners.set(session, hear);
  }

  close() {
    this.process.kill();
    return new Promise((resolve) => this.process.on("exit", resolve)).then(() => rmSync(this.profile, { recursive: true, force: true }));
  }
}

/** One visitor's cookies, storage and cache; `open` gives a tab. */
class Visitor {
  constructor(browser, id) {
    Object.assign(this, { browser, id });
  }

  async open() {
    const { targetId } = await this.browser.send("Target.createTarget", { url: "about:blank", browserContextId: this.id });
    const { sessionId } = await this.browser.send("Target.attachToTarget", { targetId, flatten: true });
    return new Tab(this.browser, sessionId);
  }

  async cookies() {
    return (await this.browser.send("Storage.getCookies", { browserContextId: this.id })).cookies.map(({ name }) => name);
  }

  leave() {
    return this.browser.send("Target.disposeBrowserContext", { browserContextId: this.id });
  }
}

/** A tab: `go` waits for the load event, `run` gives a JavaScript expression's value, promises awaited. */
class Tab {
  requests = [];
  #loaded = () => {};

  constructor(browser, session) {
    Object.assign(this, { browser, session });
    browser.listen(session, (method, params) => {
      if (method === "Page.loadEventFired") this.#loaded();
      if (method === "Network.requestWillBeSent" && /^http/.test(params.request.url)) this.requests.push(params.request.url);
    });
  }

  send(method, params) {
    return this.browser.send(method, params, this.session);
  }

  async go(url, { before = "", network, caching = true } = {}) {
    for (const part of ["Page", "Runtime", "Network"]) await this.send(`${part}.enable`);
    await this.send("Performance.enable", { timeDomain: "threadTicks" });
    await this.send("Emulation.setDeviceMetricsOverride", { width: 1280, height: 800, deviceScaleFactor: 1, mobile: false });
    if (before) await this.send("Page.addScriptToEvaluateOnNewDocument", { source: before });
    if (network) await this.send("Network.emulateNetworkConditions", network);
    await this.send("Network.setCacheDisabled", { cacheDisabled: !caching });
    const loaded = new Promise((resolve) => (this.#loaded = resolve));
    await this.send("Page.navigate", { url });
    await withinAMinute(`loading ${url}`, loaded);
  }

  async run(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Milliseconds of processor time that script took since the page began; what else the machine does is not in it. */
  async cpu() {
    const { metrics } = await this.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "ScriptDuration").value * 1000;
  }
}
