import {count, LutraError, numberOf} from './errors.js';
import {Instance} from './instance.js';
import {Session} from './session.js';
import {read} from './source.js';

const SPECIAL = ['none', 'text', 'prompt'];
const TYPES = ['float32', 'int32'];

/** A model file in memory. */
export class Model {
  #instance;
  #handle;
  #at;
  #used;

  static async load(source, options = {}) {
    const instance =
        await Instance.create(options.wasm, count('threads', options.threads));
    try {
      const model = new Model();
      await model.#read(instance, source, options);
      return model;
    } catch (error) {
      instance.end();
      throw error;
    }
  }

  async #read(instance, source, options) {
    const {at, size, name} = await read(instance, source, options);
    this.#instance = instance;
    this.#at = at;
    this.size = size;
    this.#handle = instance.with(
        [options.name ?? name],
        (text) => instance.make(
            'lutra_web_load', at, size, text, options.verifyChecksums ? 1 : 0));
    this.inputs = this.#values(0, 'lutra_model_input_count');
    this.outputs = this.#values(1, 'lutra_model_output_count');
    this.vocabulary = instance.functions.lutra_model_vocabulary(this.#handle);
    this.threads = instance.threads;
  }

  #values(isOutput, counter) {
    const instance = this.#instance;
    const length = instance.functions[counter](this.#handle);
    return Array.from({length}, (_, index) => {
      const [name, type, elements, rank, ...shape] = instance.fields(
          'lutra_web_value', this.#handle, isOutput, index);
      return Object.freeze({
        name: instance.text(name),
        type: TYPES[type],
        elements,
        shape: Object.freeze(shape.slice(0, rank)),
      });
    });
  }

  /** For the classes of this package. */
  get instance() {
    if (!this.#instance) {
      throw new LutraError('invalid-argument', 'the model was disposed of');
    }
    return this.#instance;
  }
  get handle() {
    return this.#handle;
  }

  /** The metadata of the file; its header was checked when it was loaded. */
  get metadata() {
    const size =
        Number(this.instance.view(this.#at, 8).getBigUint64(0, true));
    const header = JSON.parse(this.instance.text(this.#at + 8, size));
    return header.__metadata__ ?? {};
  }

  get hasTokenizer() {
    return this.#has(() => this.isEnd(0));
  }
  get hasChat() {
    return this.#has(() => this.chatEnds());
  }
  /** Whether the file holds what `use` needs, if it can be used or not. */
  #has(use) {
    try {
      use();
    } catch (error) {
      if (error.code === 'not-found') return false;
    }
    return true;
  }

  session(options) {
    return new Session(this, options);
  }

  encode(text, {special = 'text'} = {}) {
    const kind = numberOf('special', special, SPECIAL);
    const bytes = new TextEncoder().encode(text);
    return this.instance.with([bytes], (at) => this.instance.growing(
        4, bytes.length + 4,
        (ids, capacity) => this.instance.make(
            'lutra_model_encode', this.#handle, at, bytes.length, kind, ids,
            capacity),
        (ids, length) => this.instance.ids(ids, length).slice()));
  }

  decode(ids) {
    const given = Int32Array.from(ids);
    return this.instance.with([given], (at) => this.instance.growing(
        1, 8 * given.length + 16,
        (text, capacity) => this.instance.make(
            'lutra_model_decode', this.#handle, at, given.length, text, capacity),
        (text, size) => this.instance.text(text, size)));
  }

  isEnd(id) {
    return this.instance.make('lutra_model_is_end', this.#handle, id) !== 0;
  }

  chatEnds() {
    return this.instance.growing(
        4, 16,
        (ids, capacity) => this.instance.make(
            'lutra_model_chat_ends', this.#handle, ids, capacity),
        (ids, length) => this.instance.ids(ids, length).slice());
  }

  applyChatTemplate(messages, options = {}) {
    const json = (value) =>
        value === undefined ? undefined : JSON.stringify(value);
    const {tools, documents, variables, template} = options;
    const prompt = options.addGenerationPrompt ?? true;
    return this.instance.with(
        [
          JSON.stringify(messages), json(tools), json(documents),
          json(variables), template,
        ],
        (...places) => this.instance.growing(
            1, 4096,
            (text, capacity) => this.instance.make(
                'lutra_web_chat', this.#handle, ...places, prompt ? 1 : 0, text,
                capacity),
            (text, size) => this.instance.text(text, size)));
  }

  /** The mask of tokens that are more than padding; for this package. */
  get usedTokens() {
    if (!this.#used) {
      const at = this.instance.allocate(this.maskBytes);
      this.instance.call('lutra_web_used_tokens', this.#handle, at);
      this.#used = at;
    }
    return this.#used;
  }
  get maskBytes() {
    return 4 * Math.ceil(this.vocabulary / 32);
  }

  dispose() {
    this.#instance?.end();
    this.#instance = undefined;  // and with it all of the memory
  }
  [Symbol.dispose ?? Symbol.for('dispose')]() {
    this.dispose();
  }
}
