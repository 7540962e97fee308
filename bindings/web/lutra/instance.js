// The module of WebAssembly and its memory.

import {LutraError} from './errors.js';
import {canWait, startHelper} from './helper.js';

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** The bytes at an address; files, too, in Node, whose fetch reads none. */
async function bytesAt(url) {
  if (url.protocol === 'file:') {
    const {readFile} =
        await import(/* webpackIgnore: true */ /* @vite-ignore */ 'node:fs/promises');
    return readFile(url);
  }
  const response = await fetch(url);
  if (!response.ok) {
    throw new LutraError('io', `${url}: ${response.status} ${response.statusText}`);
  }
  return response.arrayBuffer();
}

const compiled = {};  // by name, a promise of the module, which instances share

async function compile(name, url) {
  compiled[name] ??= bytesAt(url).then((bytes) => WebAssembly.compile(bytes));
  try {
    return await compiled[name];
  } catch (error) {
    compiled[name] = undefined;  // a network may come back
    throw error;
  }
}

/** Where memory can be shared with workers. */
function canShare() {
  return typeof SharedArrayBuffer === 'function' &&
      globalThis.crossOriginIsolated !== false;
}

// What the module for several threads asks for, and its stack; see
// CMakeLists.txt.
const PAGES = {initial: 256, maximum: 65536, shared: true};
const STACK = 1 << 20;

/** What an instance imports. The C library's, of which only the clock and messages
 * of last words are ever used: nothing opens files. `memory()` is its memory. */
export function importsOf(memory, shared) {
  const view = (at, size) => new DataView(memory().buffer, at >>> 0, size);
  const wasi = {
    clock_time_get: (clock, precision, at) => {
      view(at, 8).setBigUint64(
          0, BigInt(Math.round(performance.now() * 1e6)), true);
      return 0;
    },
    environ_sizes_get: (count, size) => {
      view(count, 4).setUint32(0, 0, true);
      view(size, 4).setUint32(0, 0, true);
      return 0;
    },
    environ_get: () => 0,
    fd_write: (file, parts, count, written) => {
      let text = '';
      let bytes = 0;
      for (let i = 0; i < count; ++i) {
        const part = view(parts + 8 * i, 8);
        const begin = part.getUint32(0, true);
        const size = part.getUint32(4, true);
        text += decoder.decode(new Uint8Array(memory().buffer, begin, size).slice());
        bytes += size;
      }
      console.error(text);
      view(written, 4).setUint32(0, bytes, true);
      return 0;
    },
    proc_exit: (code) => {
      throw new LutraError('internal', `ended with ${code}`);
    },
  };
  const env = {emscripten_notify_memory_growth: () => {}, memory: shared};
  // Nothing else is there: EBADF, and ENOSYS of system calls.
  return {
    wasi_snapshot_preview1:
        new Proxy(wasi, {get: (known, name) => known[name] ?? (() => 8)}),
    env: new Proxy(env, {get: (known, name) => known[name] ?? (() => -52)}),
  };
}

/** A module's memory and functions. Each model has one of its own, whose memory
 * goes with it. */
export class Instance {
  #exports;
  #memory;
  #helpers = [];
  #bytes;
  #out;

  /** `module`: a WebAssembly.Module, if not that of the package. */
  static async create(module, threads = 1) {
    const instance = new Instance();
    const wanted = canShare() ? Math.max(threads, 1) : 1;
    // By name, as bundlers look for these.
    module ??= await (
        wanted > 1 ?
            compile('threads', new URL('./lutra-threads.wasm', import.meta.url)) :
            compile('plain', new URL('./lutra.wasm', import.meta.url)));
    const shared =
        WebAssembly.Module.imports(module).some(({name}) => name === 'memory') ?
        new WebAssembly.Memory(PAGES) :
        undefined;
    const {exports} = await WebAssembly.instantiate(
        module, importsOf(() => instance.#memory, shared));
    instance.#exports = exports;
    instance.#memory = shared ?? exports.memory;
    exports.lutra_web_begin?.(canWait() ? 1 : 0);
    exports._initialize();
    if (shared) await instance.#startHelpers(module, wanted - 1);
    instance.#out = instance.allocate(64);
    return instance;
  }

  async #startHelpers(module, count) {
    const size = this.#exports.lutra_web_helper_bytes();
    try {
      for (let i = 0; i < count; ++i) {
        const state = this.allocate(size);
        this.bytes.fill(0, state, state + size);
        const stack = this.allocate(STACK) + STACK;
        this.#helpers.push(await startHelper());
        await this.#helpers[i].begin({module, memory: this.#memory, state, stack});
      }
    } catch (error) {
      this.end();
      throw error;
    }
    this.#exports.lutra_web_set_threads(count + 1);
  }

  /** The thread that calls, and helpers. */
  get threads() {
    return this.#helpers.length + 1;
  }

  /** Ends the helpers. Nothing may be called any more. */
  end() {
    for (const helper of this.#helpers) helper.end();
  }

  get functions() {
    return this.#exports;
  }

  /** All of the memory, as it is until something is allocated. */
  get bytes() {
    if (this.#bytes?.buffer !== this.#memory.buffer) {
      this.#bytes = new Uint8Array(this.#memory.buffer);
    }
    return this.#bytes;
  }
  view(at, size) {
    return new DataView(this.#memory.buffer, at >>> 0, size);
  }
  floats(at, count) {
    return new Float32Array(this.#memory.buffer, at >>> 0, count);
  }
  ids(at, count) {
    return new Int32Array(this.#memory.buffer, at >>> 0, count);
  }
  /** UTF-8, up to a zero unless `size` says how much. */
  text(at, size) {
    const begin = at >>> 0;
    const end = size === undefined ? this.bytes.indexOf(0, begin) : begin + size;
    // Of shared memory no decoder takes a view.
    return decoder.decode(this.bytes.slice(begin, end));
  }

  allocate(size) {
    const at =
        size < 2 ** 32 ? this.#exports.lutra_web_allocate(size) >>> 0 : 0;
    if (at === 0) throw new LutraError('out-of-memory', 'out of memory');
    return at;
  }
  free(at) {
    this.#exports.lutra_web_free(at);
  }

  /** Calls what returns a lutra_status. */
  call(name, ...args) {
    let status;
    try {
      status = this.#exports[name](...args);
    } catch (cause) {
      throw new LutraError('internal', `${name}: ${cause.message}`, {cause});
    }
    if (status === 0) return;
    throw LutraError.ofStatus(status, this.text(this.#exports.lutra_last_error()));
  }

  /** The same for what sets a last argument, a number of 32 bits. */
  make(name, ...args) {
    this.view(this.#out, 4).setUint32(0, 0, true);
    this.call(name, ...args, this.#out);
    return this.view(this.#out, 4).getUint32(0, true);
  }

  /** Sixteen numbers that `name` writes to where its last argument says. */
  fields(name, ...args) {
    this.call(name, ...args, this.#out);
    return [...new Uint32Array(this.#memory.buffer, this.#out, 16)];
  }

  /** Calls `use` with the address of each value while it is in memory: typed
   * arrays, and texts, which get a final zero; undefined is NULL. */
  with(values, use) {
    const places = [];
    try {
      for (const value of values) {
        const data = typeof value === 'string' ? encoder.encode(value + '\0') :
                                                 value;
        places.push(data === undefined ? 0 : this.allocate(data.byteLength));
        if (data === undefined) continue;
        this.bytes.set(
            new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
            places.at(-1));
      }
      return use(...places);
    } finally {
      for (const place of places) this.free(place);
    }
  }

  /** What `write(address, capacity)` writes: it returns how many elements there
   * are, and is called again if they are more than it had room for. `read`
   * copies them. */
  growing(elementBytes, capacity, write, read) {
    for (;;) {
      const at = this.allocate(capacity * elementBytes);
      try {
        const count = write(at, capacity);
        if (count <= capacity) return read(at, count);
        capacity = count;
      } finally {
        this.free(at);
      }
    }
  }
}
