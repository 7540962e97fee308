// Workers that help an instance with its loops (worker.js).

import {LutraError} from './errors.js';

/** Whether this thread may sleep: a page's own may not. */
export function canWait() {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1);
    return true;
  } catch {
    return false;
  }
}

class Helper {
  #worker;
  #ready;

  /** `listen(worker, ready, fail)`: the two ways to hear of a worker. */
  constructor(worker, listen) {
    this.#worker = worker;
    this.#ready = new Promise(
        (resolve, reject) => listen(worker, resolve, (error) => {
          reject(new LutraError(
              'no-threads', `threads: a worker failed: ${error.message}`,
              {cause: error}));
        }));
    this.#ready.catch(() => {});  // whoever begins hears of it
  }

  async begin(data) {
    this.#worker.postMessage(data);
    await this.#ready;
    this.#worker.unref?.();  // a process of Node's ends without it
  }

  end() {
    this.#worker.terminate();
  }
}

export async function startHelper() {
  if (typeof globalThis.Worker === 'function') {
    return new Helper(
        new Worker(new URL('./worker.js', import.meta.url), {type: 'module'}),
        (worker, ready, fail) => {
          worker.onmessage = ready;
          worker.onerror = fail;
        });
  }
  const {Worker: NodeWorker} =
      await import(/* webpackIgnore: true */ /* @vite-ignore */ 'node:worker_threads');
  return new Helper(
      // Without the process's options, some of which are not for workers.
      new NodeWorker(new URL('./worker.js', import.meta.url), {execArgv: []}),
      (worker, ready, fail) => worker.once('message', ready).once('error', fail));
}
