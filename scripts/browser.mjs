// SPDX-License-Identifier: MIT
/**
 * A headless Chromium, driven through its debugging pipe: opens pages, runs functions in them,
 * draws them, and keeps what they log.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';

const ARGUMENTS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--allow-file-access-from-files',
  '--remote-debugging-pipe',
];
const LOADED = 'Page.loadEventFired';

/** A running Chromium. */
export class Browser {
  #child;
  #folder;
  #count = 0;
  /** By number: the commands without a reply. */
  #commands = new Map();
  /** By session: who hears its events. */
  #pages = new Map();
  #received = '';
  #isGone = false;

  constructor(child, folder) {
    this.#child = child;
    this.#folder = folder;
    child.stderr.resume();
    child.stdio[3].on('error', () => {});
    child.stdio[4].setEncoding('utf8').on('data', (text) => this.#onText(text));
    child.on('exit', (status, signal) => {
      this.#isGone = true;
      const error = new Error(`chromium ended with ${signal ?? status}`);
      for (const { reject } of this.#commands.values()) reject(error);
      for (const page of this.#pages.values()) page.onEnd(error);
    });
  }

  /**
   * Starts one. Undefined if it is not installed; **throws** then if BUSBAR_TEST_CHROMIUM requires
   * it.
   */
  static async launch() {
    const folder = mkdtempSync(`${tmpdir()}/busbar-chromium-`);
    const stdio = ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'];
    const child = spawn('chromium', [...ARGUMENTS, `--user-data-dir=${folder}`], { stdio });
    try {
      await once(child, 'spawn');
    } catch (cause) {
      rmSync(folder, { recursive: true, force: true });
      if (process.env.BUSBAR_TEST_CHROMIUM !== 'required') return undefined;
      throw new Error('chromium is missing', { cause });
    }
    return new Browser(child, folder);
  }

  /** Opens a page; it has been loaded when this resolves. */
  async open(url) {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    const attached = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, attached.sessionId, targetId);
    this.#pages.set(attached.sessionId, page);
    await page.load(url);
    return page;
  }

  /** Sends a command of the DevTools protocol. **Throws** (rejects) what Chromium objects to. */
  send(method, params = {}, sessionId = undefined) {
    if (this.#isGone) return Promise.reject(new Error('chromium has ended'));
    const id = ++this.#count;
    return new Promise((resolve, reject) => {
      this.#commands.set(id, { resolve, reject, method });
      this.#child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  /** Closes a page. */
  async closePage({ sessionId, targetId }) {
    this.#pages.delete(sessionId);
    await this.send('Target.closeTarget', { targetId });
  }

  async close() {
    if (!this.#isGone) {
      const ended = once(this.#child, 'exit');
      await this.send('Browser.close').catch(() => this.#child.kill());
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10 });
  }

  #onText(text) {
    const messages = (this.#received + text).split('\0');
    this.#received = messages.pop();
    for (const each of messages) {
      const { id, result, error, method, params, sessionId } = JSON.parse(each);
      if (id === undefined) {
        this.#pages.get(sessionId)?.onEvent(method, params);
        continue;
      }
      const command = this.#commands.get(id);
      this.#commands.delete(id);
      if (error === undefined) command.resolve(result);
      else command.reject(new Error(`${command.method}: ${error.message}`));
    }
  }
}

/** A page of a {@link Browser}. */
export class Page {
  /** What it has logged, and the errors that it did not catch. */
  messages = [];
  #browser;
  #waiting;

  constructor(browser, sessionId, targetId) {
    this.#browser = browser;
    this.sessionId = sessionId;
    this.targetId = targetId;
  }

  async load(url) {
    for (const domain of ['Page', 'Runtime', 'Log']) await this.#send(`${domain}.enable`);
    const loaded = new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
    const { errorText } = await this.#send('Page.navigate', { url });
    if (errorText !== undefined) throw new Error(`${url}: ${errorText}`);
    await loaded;
  }

  /** Makes the page so wide, in CSS pixels, and its scheme 'light' or 'dark'. */
  async resize(width, scheme) {
    const metrics = { width, height: 800, deviceScaleFactor: 1, mobile: false };
    await this.#send('Emulation.setDeviceMetricsOverride', metrics);
    const features = [{ name: 'prefers-color-scheme', value: scheme }];
    await this.#send('Emulation.setEmulatedMedia', { features });
    await this.run(settle);
  }

  /** What a function returns in the page, as JSON. It sees nothing but its argument. */
  async run(body, argument = null) {
    const expression = `(${body})(${JSON.stringify(argument)})`;
    const options = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = await this.#send('Runtime.evaluate', options);
    if (exceptionDetails === undefined) return result.value;
    throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  }

  /** The document as it is now. */
  html() {
    return this.run(() => document.documentElement.outerHTML);
  }

  /** The whole page, as PNG. */
  async draw() {
    const { cssContentSize } = await this.#send('Page.getLayoutMetrics');
    const clip = { ...cssContentSize, x: 0, y: 0, scale: 1 };
    const options = { format: 'png', captureBeyondViewport: true, clip };
    return Buffer.from((await this.#send('Page.captureScreenshot', options)).data, 'base64');
  }

  close() {
    return this.#browser.closePage(this);
  }

  onEvent(method, params) {
    if (method === LOADED) this.#waiting?.resolve();
    if (method === 'Log.entryAdded') this.messages.push(params.entry.text);
    if (method === 'Runtime.consoleAPICalled') {
      const texts = params.args.map(({ value, description }) => value ?? description);
      this.messages.push(`console.${params.type}: ${texts.join(' ')}`);
    }
    if (method === 'Runtime.exceptionThrown') {
      const { exception, text } = params.exceptionDetails;
      this.messages.push(exception?.description ?? text);
    }
  }

  onEnd(error) {
    this.#waiting?.reject(error);
  }

  #send(method, params) {
    return this.#browser.send(method, params, this.sessionId);
  }
}

/** In the page: resolves when it has the colours and the size that it was given. */
async function settle() {
  for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
  for (const animation of document.getAnimations()) animation.finish();
}
