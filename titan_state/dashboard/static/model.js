// Model: the view of the state diagram, with the live counts in its states; each leads to the board filtered by it.

import * as badges from "./badges.js";
import { element, fill, one, say } from "./elements.js";
import { load } from "./figures.js";
import { address } from "./query.js";
import { count, counted, plain } from "./wording.js";

export class Model {
  constructor(store) {
    this.store = store;
    this.drawing = null;
    this.lines = new Map();
  }

  async show() {
    this.revision = null;
    const run = this.store.hello?.run ?? null; // before it is known, main.js asks again when it is
    if (run === null || this.loading === run || (this.run === run && this.drawing)) return;
    this.loading = run;
    try {
      const drawing = await load("/api/model");
      if (this.loading !== run) return;
      this.run = run;
      this.drawing = drawing;
      this.revision = null;
      for (const state of drawing.querySelectorAll("[data-status]")) link(state);
      fill(one("diagram"), drawing);
      this.draw();
    } catch (error) {
      if (!this.drawing && this.loading === run)
        fill(one("diagram"), element("p.empty", {}, `The diagram is not there: ${plain(error.message)}.`));
    } finally {
      if (this.loading === run) this.loading = null;
    }
  }

  hide() {}

  /** The server has started anew: its model may be another one. */
  reload() {
    this.lines.clear();
    return this.show();
  }

  draw() {
    if (this.revision === this.store.revision && this.hello === this.store.hello) return;
    this.revision = this.store.revision;
    this.hello = this.store.hello;
    const counts = this.store.counts();
    for (const place of this.drawing?.querySelectorAll("[data-count]") ?? []) {
      const number = counts.get(place.dataset.count) ?? 0;
      say(place, count(number));
      const state = place.closest("[data-status]");
      state.classList.toggle("none", number === 0);
      state.parentNode.setAttribute(
        "aria-label",
        `${state.dataset.status}: ${counted(number, "execution")}, show on the board`,
      );
    }
    const known = this.store.hello?.statuses ?? [];
    for (const status of this.store.statuses(counts))
      this.#line(status, counts.get(status) ?? 0, known.includes(status));
    one("outside-heading").hidden = one("outside").childElementCount === 0;
  }

  #line(status, number, isKnown) {
    let line = this.lines.get(status);
    if (!line) {
      if (!isKnown && !number) return;
      if (!this.lines.size) (fill(one("inside")), fill(one("outside")));
      const shown = element("span.number");
      line = {
        shown,
        node: element(
          "li",
          {},
          element(
            "a",
            { href: address({ statuses: [status] }), data: { status } },
            badges.status(this.store, status),
            shown,
          ),
        ),
      };
      this.lines.set(status, line);
      one(isKnown ? "inside" : "outside").append(line.node);
    }
    say(line.shown, count(number));
    line.node.classList.toggle("none", number === 0);
  }
}

function link(state) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "a");
  made.setAttribute("href", address({ statuses: [state.dataset.status] }));
  state.replaceWith(made);
  made.append(state);
}
