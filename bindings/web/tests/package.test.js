// The package in Node, beside the native command.

import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {createServer} from 'node:http';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {after, before, describe, it} from 'node:test';
import {brotliCompressSync, gzipSync} from 'node:zlib';

import {lutra, modelBytes, modelPath, npy, packageFolder, readNpy, root, without} from './support.js';

const {LutraError, Model} =
    await import(path.join(packageFolder, 'index.js'));

const folder = mkdtempSync(path.join(tmpdir(), 'lutra_web_'));
after(() => rmSync(folder, {recursive: true}));

/** Outputs of the native command for one input. */
function nativeOutputs(model, input, shape) {
  const [from, to] = ['in.npy', 'out.npy'].map((name) => path.join(folder, name));
  writeFileSync(from, npy(input, shape));
  lutra('run', modelPath(model), '--input', from, '--output', to);
  return readNpy(to);
}

function refuses(code, message, body) {
  const check = (error) => {
    assert.ok(error instanceof LutraError, error.stack);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };
  return body instanceof Promise ? assert.rejects(body, check) :
                                   assert.throws(body, check);
}

/** The bits, which a failure does not print. */
function assertSame(actual, expected) {
  const bytes = (x) => Buffer.from(x.buffer, x.byteOffset, x.byteLength);
  assert.ok(bytes(actual).equals(bytes(expected)), 'other bits');
}

function images(count) {
  return Float32Array.from({length: 784 * count}, (_, i) => (i * 37 % 256) / 255);
}

describe('the package', () => {
  it('has the version of the project', () => {
    const [, version] = /VERSION (\d+\.\d+\.\d+)/.exec(
        readFileSync(path.join(root, 'CMakeLists.txt'), 'utf8'));
    assert.equal(
        JSON.parse(readFileSync(path.join(packageFolder, 'package.json'))).version,
        version);
  });

  for (const name of ['lutra.wasm', 'lutra-threads.wasm']) {
    it(`has a small ${name}`, (t) => {
      const bytes = readFileSync(path.join(packageFolder, name));
      const size = gzipSync(bytes, {level: 9}).length;
      t.diagnostic(`${bytes.length} bytes, gzip -9 ${size}, brotli ${
          brotliCompressSync(bytes).length}`);
      assert.ok(size < 500_000, `${size} bytes`);
    });
  }
});

describe('several threads', () => {
  const load = (name, threads) => Model.load(modelBytes(name), {threads});

  it('give the bits of one', async () => {
    const x = images(300);
    const [one, three] =
        await Promise.all([1, 3].map((n) => load('classifier.safetensors', n)));
    assert.deepEqual([one.threads, three.threads], [1, 3]);
    const session = three.session();
    for (let i = 0; i < 20; ++i) {
      assertSame(session.run(x)[0], one.session().run(x)[0]);
    }
    const helped = three.instance.functions.lutra_web_helped();
    assert.ok(helped > 0, 'the helpers did nothing');
    refuses('invalid-argument', /'x' takes 784 values/,
            () => session.run(x.subarray(1)));
    three.dispose();
    refuses('invalid-argument', /disposed/, () => session.run(x));
  });

  it('give the text of one', {skip: without('stories.safetensors')}, async () => {
    const texts = await Promise.all([1, 2, 4].map(async (threads) => {
      const model = await load('stories.safetensors', threads);
      const generation = model.session().generate(
          'Once upon a time', {maxTokens: 100, seed: 4});
      const text = await generation.text();
      model.dispose();
      return [text, generation.tokens];
    }));
    assert.ok(texts[0][0].length > 100);
    assert.deepEqual(texts[1], texts[0]);
    assert.deepEqual(texts[2], texts[0]);
  });

  it('are one where memory cannot be shared', async () => {
    globalThis.crossOriginIsolated = false;
    try {
      assert.equal((await load('classifier.safetensors', 3)).threads, 1);
    } finally {
      delete globalThis.crossOriginIsolated;
    }
  });

  it('take a module that was compiled', async () => {
    for (const [file, threads] of [['lutra', 1], ['lutra-threads', 2]]) {
      const wasm = await WebAssembly.compile(
          readFileSync(path.join(packageFolder, `${file}.wasm`)));
      const model = await Model.load(
          modelBytes('classifier.safetensors'), {wasm, threads: 2});
      assert.equal(model.threads, threads);
      model.dispose();
    }
  });

  it('are not waited for when a process ends', () => {
    const code = `
        import {readFileSync} from 'node:fs';
        import {Model} from ${JSON.stringify(path.join(packageFolder, 'index.js'))};
        const bytes = readFileSync(${JSON.stringify(modelPath('classifier.safetensors'))});
        console.log((await Model.load(bytes, {threads: 3})).threads);`;
    const {status, stdout} = spawnSync(
        process.execPath, ['--input-type=module', '-e', code],
        {encoding: 'utf8', timeout: 30_000});
    assert.deepEqual([status, stdout], [0, '3\n']);
  });

  it('refuse what is no number', () => refuses(
      'invalid-argument', /threads: '1.5' is no whole number/,
      load('classifier.safetensors', 1.5)));
});

describe('a classifier', () => {
  let model;
  before(async () => model = await Model.load(modelBytes('classifier.safetensors')));

  it('says what it is', () => {
    assert.deepEqual(model.inputs, [
      {name: 'x', type: 'float32', elements: 784, shape: [784]},
    ]);
    assert.deepEqual(model.outputs, [
      {name: 'logits', type: 'float32', elements: 10, shape: [10]},
    ]);
    assert.equal(model.vocabulary, 0);
    assert.equal(model.size, modelBytes('classifier.safetensors').length);
    assert.equal(JSON.parse(model.metadata['lutra.graph']).nodes.length, 3);
    assert.equal(model.hasTokenizer, false);
    assert.equal(model.hasChat, false);
  });

  it('gives the bits of the native library', () => {
    const x = images(5);
    const session = model.session();
    const [y] = session.run(x);
    assertSame(y, nativeOutputs('classifier.safetensors', x, [5, 784]));
    // The same by name, and as plain numbers.
    assertSame(session.run({x})[0], y);
    assertSame(session.run([[...x.subarray(0, 784)]])[0], y.slice(0, 10));
    assert.ok(session.memory.weights > 13_000);
    session.dispose();
  });

  it('refuses what it does not take', () => {
    const session = model.session();
    refuses('invalid-argument', /'x' takes 784 values for each row, not 785/,
            () => session.run(images(2).subarray(0, 785)));
    refuses('invalid-argument', /inputs are x/, () => session.run({y: images(1)}));
    refuses('not-found', /tokenizer/, () => model.encode('a'));
    refuses('invalid-argument', /activations: 'int9' is none of int8,/,
            () => model.session({activations: 'int9'}));
    session.dispose();
    refuses('invalid-argument', /disposed/, () => session.run(images(1)));
  });
});

describe('loading', () => {
  let server;
  let url;
  before(async () => {
    server = createServer((request, response) => {
      const name = path.basename(request.url);
      if (without(name)) return response.writeHead(404).end();
      const bytes = modelBytes(name);
      // In pieces, with or without their sum.
      if (request.url.startsWith('/known')) {
        response.setHeader('content-length', bytes.length);
      }
      for (let i = 0; i < bytes.length; i += 4000) {
        response.write(bytes.subarray(i, i + 4000));
      }
      response.end();
    }).listen(0);
    await new Promise((done) => server.once('listening', done));
    url = `http://localhost:${server.address().port}`;
  });
  after(() => server.close());

  for (const kind of ['known', 'unknown']) {
    it(`from an address, of ${kind} length`, async () => {
      const seen = [];
      const model = await Model.load(
          `${url}/${kind}/classifier.safetensors`,
          {onProgress: (...progress) => seen.push(progress)});
      assert.deepEqual(
          seen.at(-1), [model.size, kind === 'known' ? model.size : undefined]);
      assertSame(
          model.session().run(images(1))[0],
          nativeOutputs('classifier.safetensors', images(1), [1, 784]));
    });
  }

  it('from a Blob, and bytes inside of others', async () => {
    const bytes = modelBytes('classifier.safetensors');
    const padded = Buffer.concat([Buffer.from('abc'), bytes]);
    const [a, b] = await Promise.all([
      Model.load(new Blob([bytes])),
      Model.load(padded.subarray(3), {verifyChecksums: true}),
    ]);
    assertSame(a.session().run(images(1))[0], b.session().run(images(1))[0]);
  });

  it('fails with a line', async () => {
    const bytes = modelBytes('classifier.safetensors');
    await refuses('not-found', /^gone: 404 Not Found$/, Model.load(`${url}/gone`));
    await refuses('damaged', /^cut: /,
                  Model.load(bytes.subarray(0, 5000), {name: 'cut'}));
    await refuses('damaged', /./, Model.load(new ArrayBuffer(0)));
    const changed = Buffer.from(bytes);
    changed[9000] ^= 1;
    await refuses('damaged', /checksum/,
                  Model.load(changed, {verifyChecksums: true}));
    await assert.rejects(Model.load(7), TypeError);
    const signal = AbortSignal.abort();
    await assert.rejects(
        Model.load(`${url}/known/classifier.safetensors`, {signal}),
        {name: 'AbortError'});
  });

  it('ends with dispose', async () => {
    const model = await Model.load(modelBytes('classifier.safetensors'));
    const session = model.session();
    model.dispose();
    refuses('invalid-argument', /disposed/, () => session.run(images(1)));
  });
});

describe('a language model', {skip: without('stories.safetensors')}, () => {
  let model;
  let session;
  before(async () => {
    model = await Model.load(modelBytes('stories.safetensors'));
    session = model.session();
  });

  it('has a tokenizer', () => {
    const ids = model.encode('Once upon a time', {special: 'prompt'});
    assert.equal(ids[0], 1);
    assert.deepEqual(model.encode('Once upon a time', {special: 'none'}),
                     ids.slice(1));
    assert.equal(model.decode(ids), 'Once upon a time');
    assert.equal(model.vocabulary, 512);
    const long = 'The cat sat. '.repeat(1000);
    assert.equal(model.decode(model.encode(long)), long);
    refuses('invalid-argument', /special: 'all'/,
            () => model.encode('', {special: 'all'}));
  });

  it('gives the bits of the native library', () => {
    const ids = Int32Array.from({length: 70}, (_, i) => 3 + i * 31 % 500);
    const native = nativeOutputs('stories.safetensors', ids, [70]);
    const [all] = model.session().run(ids);
    assertSame(all, native);
    session.sequence.truncate(0);
    session.feed(ids.subarray(0, 69));
    assertSame(session.feed([ids[69]]), native.slice(-512));
  });

  it('writes what the native command writes', async () => {
    for (const options of [['0', '7'], ['0.9', '7']]) {
      const [temperature, seed] = options;
      const expected = lutra(
          'generate', modelPath('stories.safetensors'), '-p', 'Once upon a time',
          '-n', '60', '--temperature', temperature, '--seed', seed);
      session.sequence.truncate(0);
      const generation = session.generate('Once upon a time', {
        maxTokens: 60,
        temperature: Number(temperature),
        seed: Number(seed),
      });
      const pieces = [];
      for await (const piece of generation) pieces.push(piece);
      assert.equal('Once upon a time' + pieces.join(''), expected.trimEnd());
      assert.ok(pieces.length > 30);
      assert.equal(generation.tokens.length, 60);
      assert.equal(generation.end, 'length');
    }
  });

  it('goes on where it stopped', async () => {
    const whole = model.session();
    const text = await whole.generate('Tom', {maxTokens: 40, temperature: 0}).text();
    const parts = model.session();
    let again = await parts.generate('Tom', {maxTokens: 15, temperature: 0}).text();
    for await (const piece of parts.generate('', {temperature: 0})) {
      again += piece;
      if (parts.sequence.tokens.length === whole.sequence.tokens.length) break;
    }
    assert.equal(again, text);
    assert.equal(parts.sequence.position, whole.sequence.position);
  });

  it('stops', async () => {
    const fresh = (options) => model.session().generate(
        'Once upon a time', {temperature: 0, ...options});
    const stopped = fresh({stop: ['girl', 'Lily']});
    assert.equal(await stopped.text(), ', there was a little ');
    assert.equal(stopped.end, 'stop');
    const full = model.session({context: 32}).generate(
        'Once', {temperature: 0, ignoreEnd: true});
    await full.text();
    assert.equal(full.end, 'context');
    const controller = new AbortController();
    const aborted = fresh({signal: controller.signal});
    await assert.rejects(async () => {
      for await (const piece of aborted) {
        if (aborted.tokens.length > 3) controller.abort();
      }
    }, {name: 'AbortError'});
    const follows = fresh({grammar: 'root ::= " yes" | " no"'});
    assert.match(await follows.text(), /^ (yes|no)$/);
    assert.equal(follows.end, 'grammar');
    const json = await fresh({
      jsonSchema: {type: 'object', properties: {a: {type: 'boolean'}},
                   required: ['a'], additionalProperties: false},
    }).text();
    assert.equal(typeof JSON.parse(json).a, 'boolean');
  });

  it('lets others run while it writes', async () => {
    let turns = 0;
    let writing = true;
    const others = (async () => {
      while (writing) {
        await new Promise((done) => setTimeout(done, 1));
        ++turns;
      }
    })();
    await model.session().generate(
        'Once', {maxTokens: 480, temperature: 0, ignoreEnd: true}).text();
    writing = false;
    await others;
    assert.ok(turns >= 2, `${turns} turns`);
  });

  it('keeps sequences', async () => {
    session.sequence.truncate(0);
    session.feed(model.encode('Once upon', {special: 'prompt'}));
    const fork = session.sequence.fork();
    const next = model.encode(' a time', {special: 'none'});
    const logits = session.feed(next);
    const saved = fork.save();
    const tokens = [...fork.tokens];
    assertSame(session.feed(next, {sequence: fork}), logits);
    const other = await Model.load(modelBytes('stories.safetensors'));
    const restored = other.session().restore(saved, tokens);
    assert.equal(restored.position, fork.position - next.length);
    const elsewhere = other.session();
    assertSame(elsewhere.feed(next, {sequence: restored}), logits);
    refuses('invalid-argument', /more tokens than were given/,
            () => session.restore(saved, []));
    refuses('damaged', /./, () => session.restore(saved.subarray(9), []));
    fork.dispose();
    refuses('invalid-argument', /disposed/, () => fork.position);
    const empty = session.newSequence();
    assert.equal(empty.position, 0);
  });

  it('refuses what it cannot do', async () => {
    const fresh = model.session({context: 16});
    refuses('context-full', /16/, () => fresh.feed(new Int32Array(17).fill(5)));
    refuses('invalid-argument', /512/, () => fresh.feed([512]));
    refuses('not-found', /template/,
            () => model.applyChatTemplate([{role: 'user', content: 'a'}]));
    refuses('invalid-argument', /maxTokens: '-1'/,
            fresh.generate('a', {maxTokens: -1}).text());
    await refuses('invalid-argument', /top_p|top-p/,
                  fresh.generate('a', {topP: 2}).text());
    await refuses('invalid-argument', /./, fresh.generate('a', {grammar: '('}).text());
  });
});

describe('a tokenizer of regular expressions', {skip: without('qwen.safetensors')}, () => {
  it('gives the ids of the original', async () => {
    const model = await Model.load(modelBytes('qwen.safetensors'));
    const {samples} = JSON.parse(readFileSync(path.join(
        process.env.LUTRA_TEST_DATA,
        'golden/hf/qwen2-bias-tied/golden_tokens.json')));
    for (const {text, ids, decoded} of samples) {
      assert.deepEqual([...model.encode(text, {special: 'none'})], ids);
      assert.equal(model.decode(ids), decoded);
    }
    assert.ok(samples.length > 2);
  });
});

describe('a conversation', {skip: without('chat.safetensors')}, () => {
  it('is rendered, answered, and not fed twice', async () => {
    const model = await Model.load(modelBytes('chat.safetensors'));
    assert.equal(model.hasChat, true);
    const messages = [{role: 'user', content: 'Tell a story.'}];
    assert.equal(model.applyChatTemplate(messages), 'Tell a story.\nOnce');
    const session = model.session();
    const first = session.chat(messages, {maxTokens: 20, temperature: 0});
    messages.push({role: 'assistant', content: 'Once' + await first.text()});
    messages.push({role: 'user', content: 'Another one.'});
    const second = session.chat(messages, {maxTokens: 20, temperature: 0});
    const answer = await second.text();
    const afresh = model.session().chat(messages, {maxTokens: 20, temperature: 0});
    assert.equal(await afresh.text(), answer);
    assert.ok(second.promptTokens < afresh.promptTokens);
  });
});
