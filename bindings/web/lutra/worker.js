// A helper: an instance that shares another one's memory, and is in it until its
// worker ends. In browsers and in Node.

import {importsOf} from './instance.js';

async function help(port, {module, memory, state, stack}) {
  const {exports} = await WebAssembly.instantiate(
      module, importsOf(() => memory, memory));
  exports.stackRestore(stack);
  port.postMessage('ready');
  exports.lutra_web_help(state);
}

if (typeof globalThis.postMessage === 'function') {
  globalThis.onmessage = ({data}) => help(globalThis, data);
} else {
  const {parentPort} =
      await import(/* webpackIgnore: true */ /* @vite-ignore */ 'node:worker_threads');
  parentPort.once('message', (data) => help(parentPort, data));
}
