// Where the bytes of a model come from.

import {LutraError} from './errors.js';

/** Memory of an instance that grows with what is put into it. */
class Room {
  #instance;
  #capacity;
  at;
  size = 0;

  constructor(instance, capacity) {
    this.#instance = instance;
    this.#capacity = Math.max(capacity, 1);
    this.at = instance.allocate(this.#capacity);
  }

  add(bytes) {
    const size = this.size + bytes.byteLength;
    if (size > this.#capacity) {
      const capacity = Math.max(size, 2 * this.#capacity);
      const at = this.#instance.allocate(capacity);
      this.#instance.bytes.copyWithin(at, this.at, this.at + this.size);
      this.#instance.free(this.at);
      this.at = at;
      this.#capacity = capacity;
    }
    this.#instance.bytes.set(bytes, this.at + this.size);
    this.size = size;
  }
}

/** The last part of an address, for messages. */
function nameOf(address) {
  return new URL(address, globalThis.location?.href ?? 'file:///').pathname
      .split('/').pop();
}

/** What a source is: a stream of its bytes or all of them, their number if it is
 * known, and a name. */
async function open(source, signal) {
  if (source instanceof ArrayBuffer) return {bytes: new Uint8Array(source)};
  if (ArrayBuffer.isView(source)) {
    return {
      bytes: new Uint8Array(source.buffer, source.byteOffset, source.byteLength),
    };
  }
  if (source instanceof Blob) {
    return {stream: source.stream(), total: source.size, name: source.name};
  }
  let response = source;
  if (typeof source === 'string' || source instanceof URL) {
    response = await fetch(source, {signal});
  }
  if (!(response instanceof Response)) {
    throw new TypeError(
        'a model is an address, a Response, a Blob, or bytes in memory');
  }
  const name = response.url ? nameOf(response.url) : undefined;
  if (!response.ok) {
    throw new LutraError(
        response.status === 404 ? 'not-found' : 'io',
        `${name ?? 'model'}: ${response.status} ${response.statusText}`);
  }
  // Of encoded bodies it is the length of the code.
  const encoded = response.headers.get('content-encoding');
  const length = Number(response.headers.get('content-length'));
  return {stream: response.body, total: encoded ? 0 : length, name};
}

/** Reads a source into the instance's memory: {at, size, name}. */
export async function read(instance, source, {onProgress, signal}) {
  const {bytes, stream, total, name} = await open(source, signal);
  const known = bytes?.byteLength ?? total;
  const room = new Room(instance, known || 1 << 20);
  const add = (chunk) => {
    room.add(chunk);
    onProgress?.(room.size, Math.max(known || 0, 0) || undefined);
  };
  if (bytes) add(bytes);
  const reader = stream?.getReader();
  while (reader) {
    if (signal?.aborted) {
      await reader.cancel();
      signal.throwIfAborted();
    }
    const {done, value} = await reader.read();
    if (done) break;
    add(value);
  }
  return {at: room.at, size: room.size, name};
}
