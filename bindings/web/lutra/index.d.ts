/** What lutra refuses or cannot do. The message is one line with the cause. */
export class LutraError extends Error {
  readonly code: 'invalid-argument'|'damaged'|'out-of-memory'|'internal'|
      'cancelled'|'not-found'|'no-permission'|'io'|'unsupported'|
      'context-full'|'no-threads';
}

/** An input or output of a model. */
export interface Value {
  readonly name: string;
  readonly type: 'float32'|'int32';
  /** Of one row. */
  readonly shape: readonly number[];
  /** Numbers in one row. */
  readonly elements: number;
}

export interface LoadOptions {
  /** Called as bytes arrive. `total` is undefined if the server does not say
   * it. */
  onProgress?: (bytes: number, total: number|undefined) => void;
  /** Ends the loading; its reason is thrown. */
  signal?: AbortSignal;
  /** What messages call the model; otherwise the name in its address. */
  name?: string;
  /** Compares the checksums of packed weights, which takes a look at every
   * byte. */
  verifyChecksums?: boolean;
  /** How many threads its sessions run on, this one among them; 1. Where memory
   * cannot be shared with workers (a page that is not cross-origin isolated) it
   * is one. */
  threads?: number;
  /** The compiled `lutra.wasm`, or `lutra-threads.wasm`, where the package cannot
   * find it beside itself. */
  wasm?: WebAssembly.Module;
}

export interface SessionOptions {
  /** How packed layers take their inputs; 'model', as the model was made for. */
  activations?: 'model'|'int8'|'int8-symmetric'|'int8-per-group'|'float32'|
      'bfloat16';
  /** How keys and values are kept; 'model'. */
  cache?: 'model'|'float16'|'float32'|'int8';
  /** The most tokens of a sequence; as many as the model was made for. */
  context?: number;
  /** The most tokens of a prompt in one pass; 128. Results do not depend on
   * it. */
  chunk?: number;
}

export interface GenerationOptions {
  /** The most tokens; no limit but the context. */
  maxTokens?: number;
  /** 0.8; 0 is always the most probable token. */
  temperature?: number;
  /** 40; 0 is all. */
  topK?: number;
  /** 0.95 */
  topP?: number;
  /** 0.05 */
  minP?: number;
  /** 1 */
  repetitionPenalty?: number;
  /** 64 */
  repetitionWindow?: number;
  /** 0. One seed gives one text. */
  seed?: number|bigint;
  /** Texts that end it, and are not part of it. */
  stop?: string|readonly string[];
  /** Tokens that end it beside those of the tokenizer. */
  ends?: ArrayLike<number>;
  /** Goes on past the tokens that end a text. */
  ignoreEnd?: boolean;
  /** GBNF that the text follows. */
  grammar?: string;
  /** A JSON schema that the text follows, as JSON or as an object. */
  jsonSchema?: string|object;
  /** Which sequence it goes on with; the session's own. */
  sequence?: Sequence;
  /** Ends it before its next token; its reason is thrown. */
  signal?: AbortSignal;
}

export interface ChatOptions {
  tools?: object[];
  documents?: object[];
  /** Further variables of the template. */
  variables?: object;
  /** Which of several templates; 'default'. */
  template?: string;
}

export interface TemplateOptions extends ChatOptions {
  /** Ends with what begins an answer; true. */
  addGenerationPrompt?: boolean;
}

export interface Message {
  role: string;
  content: unknown;
  [key: string]: unknown;
}

/** A model file in memory. It never changes. */
export class Model {
  private constructor();
  /** From an address, a response, a file, or bytes, which are copied. */
  static load(
      source: string|URL|Response|Blob|ArrayBuffer|ArrayBufferView,
      options?: LoadOptions): Promise<Model>;

  /** Bytes of the file. */
  readonly size: number;
  /** How many threads it runs on. */
  readonly threads: number;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** Logits of a token; 0 if it is no language model. */
  readonly vocabulary: number;
  /** The metadata of the file: its graph ('lutra.graph') and more, as JSON. */
  readonly metadata: Record<string, string>;
  readonly hasTokenizer: boolean;
  /** Whether it has a chat template. */
  readonly hasChat: boolean;

  session(options?: SessionOptions): Session;

  /** Token ids. `special`: those around a whole 'text' (the default), those
   * before a 'prompt', or 'none'. */
  encode(text: string, options?: {special?: 'text'|'prompt'|'none'}):
      Int32Array;
  decode(ids: Iterable<number>): string;
  /** Whether a token ends a text. */
  isEnd(id: number): boolean;
  /** The tokens that end an answer beside those. */
  chatEnds(): Int32Array;
  applyChatTemplate(messages: readonly Message[], options?: TemplateOptions):
      string;

  /** Gives all memory back, that of its sessions as well, and ends its
   * threads. */
  dispose(): void;
}

/** A model ready to run, with a sequence of its own. */
export class Session {
  constructor(model: Model, options?: SessionOptions);
  readonly model: Model;
  readonly sequence: Sequence;
  /** The most tokens of a sequence; 0 is any number. */
  readonly context: number;
  /** In bytes. */
  readonly memory: {weights: number; arena: number; state: number};

  /** Rows in, rows out: of each input, and of each output in the model's order,
   * the numbers of one or several rows, one after the other. A model of several
   * inputs takes a list of them, or an object by name. */
  run(inputs: ArrayLike<number>|readonly ArrayLike<number>[]|
      Record<string, ArrayLike<number>>): Float32Array[];

  /** Appends tokens to a sequence; the logits of the token to come. */
  feed(ids: Iterable<number>, options?: {sequence?: Sequence}): Float32Array;
  /** The vector of a text, of a model that encodes texts. */
  embed(ids: ArrayLike<number>): Float32Array;

  /** Appends a text, or ids, to a sequence, and goes on with it. */
  generate(
      prompt: string|readonly number[]|Int32Array,
      options?: GenerationOptions): Generation;
  /** The answer to a conversation. What the sequence has of it already is not
   * fed again. */
  chat(messages: readonly Message[], options?: GenerationOptions&ChatOptions):
      Generation;

  /** An empty sequence beside the session's own. */
  newSequence(): Sequence;
  /** What `save` gave, of `tokens`, on any machine. */
  restore(bytes: Uint8Array, tokens: Iterable<number>): Sequence;

  dispose(): void;
}

/** What a model remembers of the tokens of a text. */
export class Sequence {
  private constructor();
  /** Its tokens. The last one may have been chosen, but not fed yet: it is, with
   * the next ones. */
  readonly tokens: number[];
  /** How many it was fed. */
  readonly position: number;
  /** Forgets the tokens from `position` on; networks with recurrent nodes only
   * go back to 0. */
  truncate(position: number): void;
  /** Another one with the same tokens, whose memory is shared until one of the
   * two goes on. */
  fork(): Sequence;
  save(): Uint8Array;
  dispose(): void;
}

/** A text as it is generated: `for await (const piece of generation)`. Whoever
 * stops asking has stopped it. */
export class Generation implements AsyncIterable<string> {
  private constructor();
  [Symbol.asyncIterator](): AsyncIterator<string>;
  /** The whole text. */
  text(): Promise<string>;
  /** Why it ended, then: a token of the end, a text of `stop`, `maxTokens`, no
   * more context, a complete text of the grammar. */
  readonly end?: 'end'|'stop'|'length'|'context'|'grammar';
  /** The tokens that were chosen. */
  readonly tokens: readonly number[];
  /** How many were fed before. */
  readonly promptTokens: number;
}
