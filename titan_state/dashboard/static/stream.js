// Stream: server-sent events read with fetch, which unlike EventSource can send the token. It connects again by itself.

import { headers } from "./session.js";

const SILENCE_MS = 15000; // pings come every 5 s
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5000;

/** Follows /api/stream until the token is refused. */
export class Stream {
  /**
   * @param {string} path what is followed
   * @param {{message: function(string, Object), lost: function(), refused: function()}} listener
   */
  constructor(path, listener) {
    this.path = path;
    this.listener = listener;
    this.wait = FIRST_WAIT_MS;
    this.heard = 0;
    this.generation = 0;
    setInterval(() => this.#watch(), 1000);
    document.addEventListener("visibilitychange", () => this.#hurry());
    addEventListener("online", () => this.#hurry());
  }

  /** Connect; what was connected before is given up. */
  async connect() {
    clearTimeout(this.timer);
    this.timer = null;
    this.abort?.abort();
    this.abort = new AbortController();
    const generation = ++this.generation;
    this.heard = Date.now();
    try {
      const answer = await fetch(this.path, { headers: headers(), signal: this.abort.signal, cache: "no-store" });
      if (generation !== this.generation) return;
      if (answer.status === 401) {
        this.abort = null;
        this.listener.refused();
        return;
      }
      if (!answer.ok) throw new Error(`answered ${answer.status}`);
      await this.#read(answer.body, generation);
      throw new Error("ended");
    } catch {
      if (generation === this.generation) this.#lost();
    }
  }

  /** Give the connection up until `connect` is called. */
  rest() {
    clearTimeout(this.timer);
    this.timer = null;
    this.generation++;
    this.abort?.abort();
    this.abort = null;
  }

  async #read(body, generation) {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let rest = [];
    for (;;) {
      const { done, value } = await reader.read();
      if (done || generation !== this.generation) return;
      this.heard = Date.now();
      const text = decoder.decode(value, { stream: true }).replaceAll("\r", "");
      // a message of many pieces is put together once, when its end is there
      if (!text.includes("\n")) {
        rest.push(text);
        continue;
      }
      const blocks = (rest.join("") + text).split("\n\n");
      rest = [blocks.pop()];
      for (const block of blocks) this.#take(block);
    }
  }

  #take(block) {
    let type = "message";
    const data = [];
    for (const line of block.split("\n")) {
      if (line.startsWith("event:")) type = line.slice(6).trim();
      else if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
    }
    if (!data.length) return; // a ping
    this.wait = FIRST_WAIT_MS;
    try {
      this.listener.message(type, JSON.parse(data.join("\n")));
    } catch (error) {
      reportError(error); // a mistake of this page: to connect again would only repeat it
    }
  }

  #lost() {
    this.generation++;
    this.abort?.abort();
    this.abort = null;
    this.listener.lost();
    this.timer = setTimeout(() => this.connect(), this.wait * (0.8 + 0.4 * Math.random()));
    this.wait = Math.min(LONGEST_WAIT_MS, this.wait * 2);
  }

  #watch() {
    if (this.abort && Date.now() - this.heard > SILENCE_MS) this.#lost();
  }

  #hurry() {
    if (document.hidden) return;
    this.#watch();
    if (this.timer) this.connect();
  }
}
