import {count, LutraError, numberOf} from './errors.js';
import {Generation} from './generation.js';

// By their numbers in lutra.h.
const ACTIVATIONS = [
  'int8',
  'int8-symmetric',
  'float32',
  'int8-per-group',
  'bfloat16',
  'model',
];
const CACHES = ['float16', 'float32', 'int8', 'model'];

/** What a model remembers of the tokens of a text. */
export class Sequence {
  #session;
  #handle;

  /** handle 0: the session's own. For this package. */
  constructor(session, handle, tokens) {
    this.#session = session;
    this.#handle = handle;
    this.tokens = tokens;
  }

  get #instance() {
    return this.#session.model.instance;
  }
  /** For the classes of this package. */
  get handle() {
    if (this.#handle === undefined) {
      throw new LutraError('invalid-argument', 'the sequence was disposed of');
    }
    return this.#handle;
  }

  get position() {
    const {lutra_sequence_position, lutra_session_position} =
        this.#instance.functions;
    return this.handle === 0 ? lutra_session_position(this.#session.handle) :
                               lutra_sequence_position(this.handle);
  }

  truncate(position) {
    count('position', position);
    if (this.handle === 0) {
      this.#instance.call(
          'lutra_session_rewind', this.#session.handle, position);
    } else {
      this.#instance.call('lutra_sequence_truncate', this.handle, position);
    }
    this.tokens.length = Math.min(this.tokens.length, position);
  }

  fork() {
    const handle = this.handle === 0 ?
        this.#instance.make('lutra_session_fork', this.#session.handle) :
        this.#instance.make('lutra_sequence_fork', this.handle);
    return new Sequence(this.#session, handle, [...this.tokens]);
  }

  save() {
    if (this.handle === 0) {
      const fork = this.fork();
      try {
        return fork.save();
      } finally {
        fork.dispose();
      }
    }
    return this.#instance.growing(
        1, 1 << 16,
        (at, capacity) => this.#instance.make(
            'lutra_sequence_save', this.handle, at, capacity),
        (at, size) => this.#instance.bytes.slice(at, at + size));
  }

  dispose() {
    if (this.#handle) this.#instance.functions.lutra_sequence_free(this.#handle);
    this.#handle = undefined;
  }
}

/** A model ready to run. */
export class Session {
  #handle;

  constructor(model, options = {}) {
    this.model = model;
    this.#handle = model.instance.make(
        'lutra_web_session', model.handle,
        numberOf('activations', options.activations, ACTIVATIONS),
        numberOf('cache', options.cache, CACHES),
        count('context', options.context), count('chunk', options.chunk));
    this.sequence = new Sequence(this, 0, []);
  }

  /** For the classes of this package. */
  get handle() {
    if (this.#handle === undefined) {
      throw new LutraError('invalid-argument', 'the session was disposed of');
    }
    return this.#handle;
  }

  get context() {
    return this.model.instance.functions.lutra_session_context(this.handle);
  }

  get memory() {
    const [weights, arena, state] =
        this.model.instance.fields('lutra_web_memory', this.handle);
    return {weights, arena, state};
  }

  run(inputs) {
    const {instance, inputs: infos, outputs} = this.model;
    const list = this.#inOrder(inputs);
    const data = infos.map((info, i) => {
      const Type = info.type === 'int32' ? Int32Array : Float32Array;
      return list[i] instanceof Type ? list[i] : Type.from(list[i]);
    });
    const rows = Math.floor(data[0].length / infos[0].elements);
    infos.forEach((info, i) => {
      if (rows > 0 && data[i].length === rows * info.elements) return;
      throw new LutraError(
          'invalid-argument',
          `input '${info.name}' takes ${info.elements} values for each row, ` +
              `not ${data[i].length}${rows > 1 ? ` for ${rows}` : ''}`);
    });
    const places = outputs.map(
        ({elements}) => new Float32Array(rows * elements));
    return instance.with([...data, ...places], (...at) => {
      const addresses = Uint32Array.from(at);
      instance.with([addresses], (pointers) => instance.call(
          'lutra_session_run', this.handle, rows, pointers, infos.length,
          pointers + 4 * infos.length, outputs.length));
      return places.map(
          ({length}, i) =>
              instance.floats(at[infos.length + i], length).slice());
    });
  }

  #inOrder(inputs) {
    const {inputs: infos} = this.model;
    if (infos.length === 1 && (Array.isArray(inputs) ?
                                   typeof inputs[0] === 'number' :
                                   ArrayBuffer.isView(inputs))) {
      return [inputs];
    }
    const list = Array.isArray(inputs) ? inputs :
                                         infos.map(({name}) => inputs[name]);
    if (list.length === infos.length && list.every((x) => x !== undefined)) {
      return list;
    }
    throw new LutraError(
        'invalid-argument',
        `the model's inputs are ${infos.map(({name}) => name).join(', ')}`);
  }

  /** Feeds a sequence what was chosen for it last, then `ids`. */
  feed(ids, {sequence = this.sequence} = {}) {
    const {instance, vocabulary} = this.model;
    return instance.floats(this.feedInPlace(ids, sequence), vocabulary).slice();
  }

  /** The address of the logits until the next call; for this package. */
  feedInPlace(ids, sequence) {
    const {instance} = this.model;
    const before = sequence.position;
    const next = Int32Array.from([...sequence.tokens.slice(before), ...ids]);
    try {
      return instance.with(
          [next], (at) => instance.make(
                      'lutra_web_feed', this.handle, sequence.handle, at,
                      next.length));
    } finally {
      // A failure may leave some of them fed.
      const fed = sequence.position - before;
      sequence.tokens.length = before;
      for (const id of next.subarray(0, fed)) sequence.tokens.push(id);
    }
  }

  embed(ids) {
    const {instance, outputs: [output]} = this.model;
    const vector = new Float32Array(output?.elements ?? 0);
    return instance.with([Int32Array.from(ids), vector], (at, result) => {
      instance.call(
          'lutra_session_embed', this.handle, at, ids.length, result);
      return instance.floats(result, vector.length).slice();
    });
  }

  generate(prompt, options = {}) {
    return new Generation(this, ({position}) =>
        typeof prompt === 'string' ?
            this.model.encode(
                prompt, {special: position === 0 ? 'prompt' : 'none'}) :
            prompt, options);
  }

  chat(messages, options = {}) {
    const {model} = this;
    return new Generation(this, (sequence) => {
      const ids = model.encode(
          model.applyChatTemplate(messages, options), {special: 'none'});
      // What the sequence has already need not be fed again.
      let same = 0;
      const most = Math.min(sequence.position, ids.length - 1);
      while (same < most && sequence.tokens[same] === ids[same]) ++same;
      try {
        sequence.truncate(same);
      } catch {
        sequence.truncate(0);  // recurrent networks go back to the start only
      }
      return ids.subarray(sequence.position);
    }, {ends: model.chatEnds(), ...options});
  }

  newSequence() {
    return new Sequence(
        this,
        this.model.instance.make('lutra_sequence_create', this.handle), []);
  }

  restore(bytes, tokens) {
    const {instance} = this.model;
    const handle = instance.with(
        [bytes], (at) => instance.make(
                     'lutra_sequence_restore', this.handle, at,
                     bytes.byteLength));
    const sequence = new Sequence(this, handle, [...tokens]);
    if (sequence.position <= sequence.tokens.length) return sequence;
    sequence.dispose();
    throw new LutraError(
        'invalid-argument', 'the sequence has more tokens than were given');
  }

  dispose() {
    if (this.#handle) {
      this.model.instance.functions.lutra_session_free(this.#handle);
    }
    this.#handle = undefined;
  }
}
