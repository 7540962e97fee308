// Debian's chromium without a window, by its DevTools protocol over a pipe.

import {spawn} from 'node:child_process';
import {existsSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';

export const chromium = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const hasChromium = existsSync(chromium);

export class Browser {
  #process;
  #folder = mkdtempSync(path.join(tmpdir(), 'lutra_chromium_'));
  #answers = new Map();
  #last = 0;
  /** What pages said on their consoles, and what they threw. */
  complaints = [];

  constructor() {
    this.#process = spawn(
        chromium,
        [
          '--headless=new', '--no-sandbox', '--disable-gpu',
          '--remote-debugging-pipe', `--user-data-dir=${this.#folder}`,
          'about:blank',
        ],
        {stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe']});
    let text = '';
    this.#process.stdio[4].setEncoding('utf8').on('data', (data) => {
      const messages = (text + data).split('\0');
      text = messages.pop();
      for (const message of messages) this.#take(JSON.parse(message));
    });
  }

  #take({id, error, result, method, params}) {
    if (method === 'Runtime.exceptionThrown') {
      this.complaints.push(params.exceptionDetails.exception?.description);
    }
    if (method === 'Runtime.consoleAPICalled' && params.type === 'error') {
      this.complaints.push(params.args.map((x) => x.value ?? x.description));
    }
    const answer = this.#answers.get(id);
    this.#answers.delete(id);
    if (error) {
      answer?.reject(new Error(`${answer.method}: ${error.message}`));
    } else {
      answer?.resolve(result);
    }
  }

  send(method, params = {}, sessionId = undefined) {
    const id = ++this.#last;
    this.#process.stdio[3].write(
        JSON.stringify({id, method, params, sessionId}) + '\0');
    return new Promise(
        (resolve, reject) => this.#answers.set(id, {resolve, reject, method}));
  }

  async page(url, {width = 1100, height = 900, mobile = false} = {}) {
    const {targetId} = await this.send('Target.createTarget', {url: 'about:blank'});
    const {sessionId} =
        await this.send('Target.attachToTarget', {targetId, flatten: true});
    const page = new Page(this, sessionId, targetId);
    await page.send('Page.enable');
    await page.send('Runtime.enable');
    await page.send('Emulation.setDeviceMetricsOverride',
                    {width, height, deviceScaleFactor: 1, mobile});
    await page.go(url);
    return page;
  }

  async close() {
    const gone = new Promise((done) => this.#process.once('exit', done));
    this.send('Browser.close').catch(() => {});
    await gone;
    rmSync(this.#folder, {recursive: true, force: true});
  }
}

class Page {
  constructor(browser, sessionId, targetId) {
    this.browser = browser;
    this.sessionId = sessionId;
    this.targetId = targetId;
  }

  send(method, params) {
    return this.browser.send(method, params, this.sessionId);
  }

  go(url) {
    return this.send('Page.navigate', {url});
  }

  /** The value of an expression, which may be a promise. */
  async evaluate(expression) {
    const {result, exceptionDetails} = await this.send(
        'Runtime.evaluate',
        {expression, awaitPromise: true, returnByValue: true});
    if (exceptionDetails) throw new Error(exceptionDetails.exception.description);
    return result.value;
  }

  /** Until an expression is true, for 20 seconds. */
  async until(expression) {
    for (let i = 0; i < 400; ++i) {
      const value = await this.evaluate(`(() => {
        try { return ${expression}; } catch { return false; }
      })()`);
      if (value) return value;
      await new Promise((done) => setTimeout(done, 50));
    }
    throw new Error(`it never became true: ${expression}`);
  }

  text(id) {
    return this.evaluate(`document.getElementById('${id}').textContent`);
  }
  click(id) {
    return this.evaluate(`document.getElementById('${id}').click()`);
  }

  /** Where an element is: x, y, width, height. */
  frame(id) {
    return this.evaluate(
        `document.getElementById('${id}').getBoundingClientRect().toJSON()`);
  }

  mouse(type, x, y) {
    return this.send('Input.dispatchMouseEvent', {
      type, x, y, button: 'left', buttons: type === 'mouseReleased' ? 0 : 1,
      clickCount: 1,
    });
  }

  async choose(id, file) {
    const {root} = await this.send('DOM.getDocument');
    const {nodeId} = await this.send(
        'DOM.querySelector', {nodeId: root.nodeId, selector: `#${id}`});
    await this.send('DOM.setFileInputFiles', {nodeId, files: [file]});
  }

  async drop(x, y, file) {
    const data = {items: [], files: [file], dragOperationsMask: 1};
    for (const type of ['dragEnter', 'dragOver', 'drop']) {
      await this.send('Input.dispatchDragEvent', {type, x, y, data});
    }
  }

  async shot(file) {
    const {data} = await this.send(
        'Page.captureScreenshot', {captureBeyondViewport: true});
    writeFileSync(file, Buffer.from(data, 'base64'));
  }

  close() {
    return this.browser.send('Target.closeTarget', {targetId: this.targetId});
  }
}
