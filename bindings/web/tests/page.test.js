// examples/web in a browser.

import assert from 'node:assert/strict';
import {mkdirSync, readFileSync} from 'node:fs';
import {createServer} from 'node:http';
import path from 'node:path';
import {after, before, describe, it} from 'node:test';

import {Browser, chromium, hasChromium} from './chromium.js';
import {modelBytes, modelPath, root, without} from './support.js';

const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
};
const shots = path.join(root, 'build/web/shots');
const PHONE = {width: 360, height: 740, mobile: true};

function serve({isolates = false} = {}) {
  return createServer((request, response) => {
    const name = new URL(request.url, 'http://localhost').pathname;
    try {
      const bytes = name.startsWith('/models/') ?
          modelBytes(path.basename(name)) :
          readFileSync(path.join(root, 'build/web/page',
                                 name === '/' ? 'index.html' : name));
      response.setHeader(
          'content-type', TYPES[path.extname(name)] ??
              (name === '/' ? 'text/html' : 'application/octet-stream'));
      response.setHeader('content-length', bytes.length);
      // What lets a page share memory with workers.
      if (isolates) {
        response.setHeader('cross-origin-opener-policy', 'same-origin');
        response.setHeader('cross-origin-embedder-policy', 'require-corp');
      }
      response.end(bytes);
    } catch {
      response.writeHead(404).end();
    }
  }).listen(0);
}

describe('the page', {skip: !hasChromium && `there is no ${chromium}`, timeout: 120_000}, () => {
  let server;
  let url;
  let browser;
  before(async () => {
    mkdirSync(shots, {recursive: true});
    server = serve();
    await new Promise((done) => server.once('listening', done));
    url = `http://localhost:${server.address().port}/`;
    browser = new Browser();
  });
  after(async () => {
    await browser.close();
    server.closeAllConnections();
    server.close();
  });

  async function wellBehaved(page) {
    const width = await page.evaluate('document.documentElement.scrollWidth');
    assert.ok(width <= await page.evaluate('innerWidth'), `${width} pixels wide`);
    assert.deepEqual(browser.complaints, []);
  }

  for (const [device, size] of [['desktop', {}], ['phone', PHONE]]) {
    it(`begins, on a ${device}`, async () => {
      const page = await browser.page(url, size);
      await page.until(`document.readyState === 'complete'`);
      await page.shot(path.join(shots, `start-${device}.png`));
      await wellBehaved(page);
      await page.close();
    });

    it(`tells a story, on a ${device}`, {skip: without('stories.safetensors')},
       async () => {
         const page =
             await browser.page(`${url}?model=models/stories.safetensors`, size);
         await page.until(`!document.getElementById('language').hidden`);
         assert.match(await page.text('facts'), /language model.*512 tokens/);
         await page.click('go');
         await page.until(`document.getElementById('go').textContent === 'Stop'`);
         await page.until(`document.getElementById('go').textContent === 'Write'`);
         assert.match(await page.text('text'), /^Once upon a time.{200}/s);
         assert.match(await page.text('speed'), /^\d+ tokens, \d+ tokens\/s$/);
         await page.shot(path.join(shots, `story-${device}.png`));
         await wellBehaved(page);
         await page.close();
       });

    it(`chats, on a ${device}`, {skip: without('chat.safetensors')}, async () => {
      const page =
          await browser.page(`${url}?model=models/chat.safetensors`, size);
      await page.until(`!document.getElementById('chat').hidden`);
      for (const count of [2, 4]) {
        await page.evaluate(
            `document.getElementById('message').value = 'Tell me a story.'`);
        await page.click('send');
        await page.until(`document.getElementById('send').textContent === 'Stop'`);
        await page.until(
            `document.getElementById('messages').textContent.length > ${100 * count}
             || document.getElementById('send').textContent === 'Send'`);
        await page.evaluate(
            `document.getElementById('send').textContent === 'Stop' &&
             document.getElementById('send').click()`);
        await page.until(`document.getElementById('send').textContent === 'Send'`);
        assert.equal(
            await page.evaluate(`document.getElementById('messages').children.length`),
            count);
      }
      await page.shot(path.join(shots, `chat-${device}.png`));
      await wellBehaved(page);
      await page.close();
    });

    it(`looks at a drawing, on a ${device}`, async () => {
      const page = await browser.page(url, size);
      await page.until(`document.readyState === 'complete'`);
      await page.choose('file', modelPath('classifier.safetensors'));
      await page.until(`!document.getElementById('classifier').hidden`);
      await page.evaluate(`document.getElementById('canvas').scrollIntoView()`);
      const {x, y, width} = await page.frame('canvas');
      const at = (u, v) => [x + u * width, y + v * width];
      await page.mouse('mousePressed', ...at(.35, .15));
      for (const [u, v] of [[.35, .85], [.65, .85], [.65, .15], [.35, .15], [.5, .8]]) {
        await page.mouse('mouseMoved', ...at(u, v));
      }
      await page.mouse('mouseReleased', ...at(.5, .8));
      const shares = await page.evaluate(
          `[...document.querySelectorAll('.share')].map((x) => parseInt(x.textContent))`);
      assert.equal(shares.length, 10);
      assert.ok(Math.abs(shares.reduce((a, b) => a + b) - 100) <= 5, `${shares}`);
      await page.evaluate(`document.getElementById('names').value = 'fashion',
          document.getElementById('names').dispatchEvent(new Event('change'))`);
      assert.match(await page.text('bars'), /Ankle boot/);
      await page.shot(path.join(shots, `classifier-${device}.png`));
      await wellBehaved(page);
      await page.close();
    });
  }

  it('runs on several threads where it may share memory', async (test) => {
    const isolated = serve({isolates: true});
    test.after(() => {
      isolated.closeAllConnections();
      isolated.close();
    });
    await new Promise((done) => isolated.once('listening', done));
    const code = (threads) => `(async () => {
      const {Model} = await import('/lutra/index.js');
      const address = '/models/classifier.safetensors';
      const model = await Model.load(address, {threads: ${threads}});
      const x = Float32Array.from({length: 784 * 200}, (_, i) => i * 37 % 256 / 255);
      const session = model.session();
      let y;
      for (let i = 0; i < 20; ++i) y = [...session.run(x)[0]];
      const helped = model.instance.functions.lutra_web_helped?.();
      model.dispose();
      return {threads: model.threads, y, helped};
    })()`;
    const results = [];
    for (const {port} of [server.address(), isolated.address()]) {
      const page = await browser.page(`http://localhost:${port}/`);
      await page.until(`document.readyState === 'complete'`);
      results.push(await page.evaluate(code(3)));
      if (port === isolated.address().port) {
        await page.choose('file', modelPath('classifier.safetensors'));
        await page.until(`!document.getElementById('classifier').hidden`);
        const threads = await page.evaluate('Math.min(navigator.hardwareConcurrency, 4)');
        assert.match(await page.text('facts'), new RegExp(`Threads${threads}`));
      }
      await wellBehaved(page);
      await page.close();
    }
    assert.deepEqual(results.map(({threads}) => threads), [1, 3]);
    assert.deepEqual(results[1].y, results[0].y);
    assert.ok(results[1].helped > 0, 'the helpers did nothing');
  });

  it('takes a file that is dropped', async () => {
    const page = await browser.page(url);
    await page.until(`document.readyState === 'complete'`);
    await page.drop(500, 300, modelPath('classifier.safetensors'));
    await page.until(`!document.getElementById('classifier').hidden`);
    await page.close();
  });

  it('says what is wrong', async () => {
    const page = await browser.page(`${url}?model=models/gone.safetensors`);
    await page.until(`!document.getElementById('error').hidden`);
    assert.equal(await page.text('error'), 'gone.safetensors: 404 Not Found');
    await page.choose('file', path.join(root, 'README.md'));
    await page.until(
        `document.getElementById('error').textContent.startsWith('README.md: ')`);
    await page.shot(path.join(shots, 'error.png'));
    await page.close();
  });

  it('works without a network once it was loaded', async () => {
    const page = await browser.page(url);
    await page.evaluate(`navigator.serviceWorker.ready.then(() => true)`);
    await page.until(`navigator.serviceWorker.controller !== null`);
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
    await page.go(url);
    await page.until(`document.readyState === 'complete'`);
    await page.choose('file', modelPath('classifier.safetensors'));
    await page.until(`!document.getElementById('classifier').hidden`);
    await page.close();
  });
});
