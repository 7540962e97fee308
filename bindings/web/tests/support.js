// Where the package, models and the native command are: scripts/web.sh says it.

import {execFileSync} from 'node:child_process';
import {existsSync, readFileSync} from 'node:fs';
import path from 'node:path';

export const root = new URL('../../../', import.meta.url).pathname;
export const packageFolder = path.join(root, 'build/web/bindings/web/lutra');

const models = process.env.LUTRA_WEB_MODELS ?? '';

/** Why a test that needs a model is skipped; false if it is not. */
export function without(name) {
  return existsSync(path.join(models, name)) ?
      false :
      `${name} is missing: LUTRA_TEST_DATA has not what it is made of`;
}

export function modelPath(name) {
  return path.join(models, name);
}

export function modelBytes(name) {
  return readFileSync(modelPath(name));
}

/** What the native command prints. */
export function lutra(...args) {
  return execFileSync(
      process.env.LUTRA_COMMAND, args,
      {encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore']});
}

/** The bytes of a file of NumPy's with an array of 4-byte elements. */
export function npy(array, shape) {
  const type = array instanceof Int32Array ? '<i4' : '<f4';
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (${
      shape.join(', ')},), }`;
  const header = text.padEnd(128 - 10 - 1) + '\n';
  const start = Buffer.from('\x93NUMPY\x01\x00\x00\x00', 'latin1');
  start.writeUInt16LE(header.length, 8);
  return Buffer.concat([
    start,
    Buffer.from(header, 'latin1'),
    Buffer.from(array.buffer, array.byteOffset, array.byteLength),
  ]);
}

/** The float32 elements of one. */
export function readNpy(file) {
  const bytes = readFileSync(file);
  return new Float32Array(
      new Uint8Array(bytes.subarray(10 + bytes.readUInt16LE(8))).buffer);
}
