// By their numbers in lutra.h.
const CODES = [
  'ok',
  'invalid-argument',
  'damaged',
  'out-of-memory',
  'internal',
  'cancelled',
  'not-found',
  'no-permission',
  'io',
  'unsupported',
  'context-full',
  'no-threads',
];

/** What lutra refuses or cannot do: a line with the cause, and a code for it. */
export class LutraError extends Error {
  constructor(code, message, options) {
    super(message, options);
    this.name = 'LutraError';
    this.code = code;
  }

  static ofStatus(status, message) {
    return new LutraError(CODES[status] ?? 'internal', message);
  }
}

/** The number of a name that an option may have. */
export function numberOf(option, name, names) {
  if (name === undefined) return undefined;
  const number = names.indexOf(name);
  if (number < 0) {
    throw new LutraError(
        'invalid-argument',
        `${option}: '${name}' is none of ${names.join(', ')}`);
  }
  return number;
}

/** An option that is a whole number, or undefined. */
export function count(option, value) {
  if (value === undefined) return undefined;
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** 32) {
    throw new LutraError(
        'invalid-argument', `${option}: '${value}' is no whole number`);
  }
  return value;
}
