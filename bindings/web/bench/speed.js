// Tokens per second in Node and of the native command, which is held to one
// thread and to the instruction set that is closest to WebAssembly's: SSE4. By
// turns, and by the median of all calls, because the speed of shared machines
// moves.

import {execFileSync} from 'node:child_process';
import path from 'node:path';

import {modelBytes, modelPath, packageFolder, without} from '../tests/support.js';

const {Model} = await import(path.join(packageFolder, 'index.js'));

const ROUNDS = 5;
const TOKENS = 128;

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

/** Seconds per token of prompts and of generation without sampling. */
function native(name) {
  const {results} = JSON.parse(execFileSync(
      process.env.LUTRA_COMMAND,
      [
        'bench', modelPath(name), '-p', TOKENS, '-n', TOKENS, '-t', '1',
        '--repeat', '5', '--json',
      ],
      {env: {...process.env, LUTRA_KERNEL: 'SSE4'}, encoding: 'utf8'}));
  return results.map((test) => test.p50_us_per_token / 1e6);
}

function web(session) {
  const ids = Int32Array.from({length: TOKENS}, (_, i) => 3 + i * 31 % 300);
  const timed = (run) => {
    const start = performance.now();
    run();
    return (performance.now() - start) / 1000;
  };
  const prompts = [];
  const tokens = [];
  for (let i = 0; i < 6; ++i) {
    session.sequence.truncate(0);
    prompts.push(timed(() => session.feed(ids)) / TOKENS);
    session.sequence.truncate(0);
    for (const id of ids) tokens.push(timed(() => session.feed([id])));
  }
  return [median(prompts), median(tokens)];
}

for (const name of ['stories.safetensors', 'chat.safetensors']) {
  if (without(name)) {
    console.log(without(name));
    continue;
  }
  const session = (await Model.load(modelBytes(name))).session();
  const rounds =
      Array.from({length: ROUNDS}, () => [native(name), web(session)]);
  ['prompt', 'generation'].forEach((test, i) => {
    const [there, here] =
        [0, 1].map((side) => 1 / median(rounds.map((round) => round[side][i])));
    console.log(
        `${name} ${test}: native SSE4 ${there.toFixed(0)} tokens/s, ` +
        `Node ${here.toFixed(0)} tokens/s, ${(100 * here / there).toFixed(0)} %`);
  });
}
