// Grid: a table of any length of which only what can be seen is in the document. It places rows and heads of groups,
// keeps its place while rows come and go above, and has one active row for the keyboard. It neither filters nor sorts.
//
// Rows stand in the document in their order; a row is drawn again only when its version has changed.

import { element, mark } from "./elements.js";
import { Head, Row } from "./row.js";

const SPARE = 10; // rows drawn beyond either edge, so that scrolling shows no gaps
const NARROW = 680;

export class Grid {
  /**
   * @param {HTMLElement} scroller what scrolls; it has the role of a grid
   * @param {import("./store.js").Store} store
   * @param {{open: function(string), fold: function(string)}} chosen what is done with a row or a head
   */
  constructor(scroller, store, chosen) {
    this.scroller = scroller;
    this.store = store;
    this.chosen = chosen;
    this.items = [];
    this.drawn = new Map(); // key -> what is drawn of an item
    this.active = null; // the key of the active row
    this.height = 34;
    this.now = 0;
    this.top = element("div.filler", { role: "presentation" });
    this.body = element("div.rows", { role: "rowgroup" });
    this.scroller.append(this.top);
    this.top.append(this.body);
    scroller.addEventListener("scroll", () => this.#later(), { passive: true });
    scroller.addEventListener("click", (event) => this.#click(event));
    scroller.addEventListener("pointerover", (event) => this.#entitle(event.target.closest?.("[role=row]")));
    scroller.addEventListener("pointermove", (event) => {
      this.pointed = event.pointerType === "mouse" ? event.target.closest?.("[role=row]")?.keyOf : null;
    });
    scroller.addEventListener("pointerleave", () => (this.pointed = null));
    new ResizeObserver(() => this.#measure()).observe(scroller);
  }

  /** Show other items, or the same ones at a later time; if time stands still, ages are told as dates. */
  show(items, now, isFrozen) {
    const anchor = this.#anchor();
    this.isFrozen = isFrozen;
    this.items = items;
    this.now = now;
    this.isGrouped = Boolean(items[0]?.head);
    mark(this.scroller, "role", this.isGrouped ? "treegrid" : "grid"); // rows of a grid cannot be folded
    mark(this.scroller, "aria-rowcount", items.length + 1);
    this.top.style.height = `${items.length * this.height}px`;
    if (anchor) this.#hold(anchor);
    this.#paint();
  }

  /** Move the active row by some rows, and scroll to it. */
  move(step) {
    if (!this.items.length) return;
    const at = this.#place(this.active);
    const from = at < 0 ? (step > 0 ? this.#first() - 1 : this.#first() + 1) : at;
    const next = Math.max(0, Math.min(this.items.length - 1, from + step));
    this.active = keyOf(this.items[next]);
    this.#reveal(next);
    this.#paint();
  }

  /** Open the active row, or fold the active group. */
  enter() {
    const item = this.items[this.#place(this.active)];
    if (!item) return;
    if (item.head) this.chosen.fold(item.key);
    else this.chosen.open(item.id);
  }

  /** Return how many rows fit. */
  page() {
    return Math.max(1, Math.floor(this.scroller.clientHeight / this.height) - 2);
  }

  #measure() {
    const isNarrow = this.scroller.clientWidth < NARROW;
    this.scroller.classList.toggle("narrow", isNarrow);
    const probe = element("div.row.probe");
    this.body.append(probe);
    this.height = probe.getBoundingClientRect().height || this.height;
    probe.remove();
    this.top.style.height = `${this.items.length * this.height}px`;
    this.#paint();
  }

  #first() {
    return Math.max(0, Math.min(this.items.length - 1, Math.ceil(this.scroller.scrollTop / this.height)));
  }

  #place(key) {
    if (key === null) return -1;
    const known = this.drawn.get(key);
    if (known && this.items[known.place] && keyOf(this.items[known.place]) === key) return known.place;
    return this.items.findIndex((item) => keyOf(item) === key);
  }

  // What must not move when others come and go above: the row under the pointer, else the first in sight. One that was
  // moved by a change of its own is none.
  #anchor() {
    if (this.scroller.scrollTop <= 0 && !this.pointed) return null;
    const first = this.#first();
    const pointed = this.pointed ? this.drawn.get(this.pointed)?.place : undefined;
    const places = [];
    if (pointed !== undefined) places.push(pointed);
    for (let place = first; place < first + 12 && place < this.items.length; place++) places.push(place);
    return places.map((place) => ({
      item: this.items[place],
      moved: this.drawn.get(keyOf(this.items[place]))?.moved,
      place,
    }));
  }

  #hold(anchors) {
    if (this.scroller.scrollTop <= 0 && !this.pointed) return;
    for (const { item, moved, place } of anchors) {
      if (item.head || item.moved !== moved) continue;
      const now = this.#search(item, place);
      if (now < 0) continue;
      if (now !== place) this.scroller.scrollTop += (now - place) * this.height;
      return;
    }
  }

  #search(item, place) {
    for (let step = 0; step < 400; step++) {
      if (this.items[place + step] === item) return place + step;
      if (this.items[place - step] === item) return place - step;
    }
    return this.items.indexOf(item);
  }

  #reveal(place) {
    const edge = place * this.height;
    const { scrollTop, clientHeight } = this.scroller;
    if (edge < scrollTop) this.scroller.scrollTop = edge;
    else if (edge + this.height > scrollTop + clientHeight - this.#headHeight()) {
      this.scroller.scrollTop = edge + this.height - clientHeight + this.#headHeight();
    }
  }

  #headHeight() {
    return this.top.offsetTop;
  }

  #later() {
    this.frame ??= requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    const inSight = Math.ceil(this.scroller.clientHeight / this.height);
    const begin = Math.max(0, Math.floor(this.scroller.scrollTop / this.height) - SPARE);
    const end = Math.min(this.items.length, begin + inSight + 2 * SPARE);
    const needed = new Set();
    for (let place = begin; place < end; place++) needed.add(keyOf(this.items[place]));
    const spare = [];
    for (const [key, drawn] of this.drawn) {
      if (needed.has(key)) continue;
      this.drawn.delete(key);
      if (drawn.isHead) drawn.node.remove();
      else spare.push(drawn);
    }
    let next = this.body.firstChild;
    for (let place = begin; place < end; place++) {
      const item = this.items[place];
      const drawn = this.#draw(item, place, spare);
      if (drawn.node === next) next = next.nextSibling;
      else this.body.insertBefore(drawn.node, next);
    }
    for (const drawn of spare) drawn.node.remove();
    this.body.style.transform = `translateY(${begin * this.height}px)`;
    mark(this.scroller, "aria-activedescendant", this.drawn.get(this.active)?.node.id ?? null);
  }

  #draw(item, place, spare) {
    const key = keyOf(item);
    let drawn = this.drawn.get(key);
    if (!drawn) {
      drawn = item.head ? new Head(this.store) : (spare.pop() ?? new Row(this.store));
      if (!item.head) drawn.renew();
      drawn.node.keyOf = key;
      this.drawn.set(key, drawn);
    }
    if (drawn.place !== place) {
      drawn.place = place;
      drawn.node.setAttribute("aria-rowindex", place + 2);
      drawn.node.id = `row-${place}`;
    }
    mark(drawn.node, "aria-level", this.isGrouped ? (item.head ? 1 : 2) : null);
    drawn.node.classList.toggle("active", key === this.active);
    drawn.draw(item, this.now, this.isFrozen);
    return drawn;
  }

  #entitle(node) {
    const drawn = this.drawn.get(node?.keyOf);
    const item = this.items[drawn?.place];
    if (item && !item.head) drawn.entitle(item);
  }

  #click(event) {
    const node = event.target.closest("[role=row]");
    if (!node?.keyOf || event.defaultPrevented || event.button !== 0) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (String(getSelection()) && !event.target.closest("a")) return; // text is being selected
    event.preventDefault();
    this.active = node.keyOf;
    this.enter();
  }
}

function keyOf(item) {
  return item.head ? `head ${item.key}` : `row ${item.id}`; // an id may be any text
}
