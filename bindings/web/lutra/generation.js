import {count, LutraError} from './errors.js';
import {StopFilter} from './stop_filter.js';

/** Lets what waits happen: events, drawing. */
const pause = typeof setImmediate === 'function' ?
    () => new Promise((resolve) => setImmediate(resolve)) :
    () => new Promise((resolve) => {
      const {port1, port2} = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(null);
    });

const LONGEST_WORK = 12;  // ms without a pause: most of a frame

/** The pieces of a text, one after the other; begins with the first. */
export class Generation {
  #session;
  #sequence;
  #prompt;
  #options;
  #rested = 0;
  tokens = [];
  end;
  promptTokens = 0;

  /** `prompt(sequence)` gives the ids to begin with. For this package. */
  constructor(session, prompt, options) {
    this.#session = session;
    this.#sequence = options.sequence ?? session.sequence;
    this.#prompt = prompt;
    this.#options = options;
  }

  /** The whole text. */
  async text() {
    let text = '';
    for await (const piece of this) text += piece;
    return text;
  }

  async *[Symbol.asyncIterator]() {
    if (this.promptTokens !== 0) {
      throw new LutraError('invalid-argument', 'the generation has begun');
    }
    const session = this.#session;
    const {instance} = session.model;
    const made = [];  // functions that free, in the order of the makings
    const make = (kind, ...args) => {
      const handle = instance.make(...args);
      made.push(() => instance.functions[`lutra_${kind}_free`](handle));
      return handle;
    };
    const allocate = (size) => {
      const at = instance.allocate(size);
      made.push(() => instance.free(at));
      return at;
    };
    try {
      yield* this.#pieces(make, allocate);
    } finally {
      for (const free of made.reverse()) free();
    }
  }

  async *#pieces(make, allocate) {
    const {model} = this.#session;
    const {instance, vocabulary} = model;
    const options = this.#options;
    const ends = Int32Array.from(options.ends ?? []);
    const maxTokens = count('maxTokens', options.maxTokens) ?? Infinity;
    const sampler = make(
        'sampler', 'lutra_web_sampler', vocabulary, options.temperature,
        options.repetitionPenalty,
        count('repetitionWindow', options.repetitionWindow),
        count('topK', options.topK), options.topP, options.minP,
        BigInt(options.seed ?? 0));
    const constraint = this.#constraint(make, ends);
    const stream =
        make('text_stream', 'lutra_text_stream_create', model.handle, 1);
    const filter = new StopFilter([options.stop ?? []].flat());
    const mask = constraint ? allocate(model.maskBytes) : 0;

    const ids = this.#prompt(this.#sequence);
    for (const id of ids) instance.call('lutra_sampler_accept', sampler, id);
    this.promptTokens = ids.length;
    let next = await this.#feedBeginning(ids);
    while (!this.end) {
      if (this.tokens.length >= maxTokens) {
        this.end = 'length';
        break;
      }
      const {context} = this.#session;
      if (this.tokens.length > 0 && context > 0 &&
          this.#sequence.position >= context) {
        this.end = 'context';
        break;
      }
      await this.#rest();
      // Nobody else can use the session before the choice is made.
      const logits = this.#session.feedInPlace(next, this.#sequence);
      next = [];
      const id = instance.make(
          'lutra_web_choose', sampler, constraint, logits, vocabulary,
          model.usedTokens, mask);
      if (!options.ignoreEnd && (ends.includes(id) || model.isEnd(id))) {
        this.end = 'end';
        break;
      }
      this.tokens.push(id);
      this.#sequence.tokens.push(id);
      const text = filter.add(this.#text('lutra_text_stream_add', stream, id));
      if (filter.stopped) {
        this.end = 'stop';
      } else if (
          constraint &&
          instance.functions.lutra_constraint_is_finished(constraint)) {
        this.end = 'grammar';
      }
      if (text !== '') yield text;
    }
    if (this.end !== 'stop') {
      const rest = filter.add(this.#text('lutra_text_stream_flush', stream)) +
          filter.rest();
      if (rest !== '') yield rest;
    }
  }

  #constraint(make, ends) {
    const {grammar, jsonSchema} = this.#options;
    if (grammar === undefined && jsonSchema === undefined) return 0;
    const {model} = this.#session;
    const schema = jsonSchema === undefined || typeof jsonSchema === 'string' ?
        jsonSchema :
        JSON.stringify(jsonSchema);
    return model.instance.with(
        [grammar, schema, ends],
        (...places) => make(
            'constraint', 'lutra_web_constraint', model.handle, ...places,
            ends.length));
  }

  /** What a text stream gives: it sets where the text is, and its size. */
  #text(name, ...args) {
    const {instance} = this.#session.model;
    return instance.with([new Uint32Array(2)], (at) => {
      instance.call(name, ...args, at, at + 4);
      const view = instance.view(at, 8);
      return instance.text(view.getUint32(0, true), view.getUint32(4, true));
    });
  }

  /** Feeds ids but for the last of them, which it gives back, in parts that
   * become as large as the time between two pauses allows. */
  async #feedBeginning(ids) {
    let begin = 0;
    for (let part = 8; begin + part < ids.length;) {
      await this.#rest();
      const start = performance.now();
      this.#session.feedInPlace(ids.slice(begin, begin + part), this.#sequence);
      begin += part;
      if (performance.now() - start < LONGEST_WORK / 2) part *= 2;
    }
    return ids.slice(begin);
  }

  async #rest() {
    this.#options.signal?.throwIfAborted();
    if (performance.now() - this.#rested < LONGEST_WORK) return;
    await pause();
    this.#rested = performance.now();
    this.#options.signal?.throwIfAborted();
  }
}
