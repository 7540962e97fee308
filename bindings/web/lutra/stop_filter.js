/** Ends a text at the first of some strings, and holds back what may be the
 * beginning of one. */
export class StopFilter {
  #stops;
  #held = '';
  stopped = false;

  constructor(stops) {
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** What can be shown with the next piece. */
  add(piece) {
    const text = this.#held + piece;
    const found = this.#stops.map((stop) => text.indexOf(stop))
                      .filter((at) => at >= 0);
    if (found.length > 0) {
      this.stopped = true;
      this.#held = '';
      return text.slice(0, Math.min(...found));
    }
    let keep = 0;
    for (const stop of this.#stops) {
      let size = Math.min(stop.length - 1, text.length);
      while (size > keep && !text.endsWith(stop.slice(0, size))) --size;
      keep = Math.max(keep, size);
    }
    this.#held = text.slice(text.length - keep);
    return text.slice(0, text.length - keep);
  }

  /** What was held back, at the end. */
  rest() {
    const held = this.#held;
    this.#held = '';
    return held;
  }
}
