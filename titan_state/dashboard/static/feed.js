// Feed: the latest events beside the board, the newest first.

import * as badges from "./badges.js";
import { element, fill, one } from "./elements.js";
import { clock, moment, plain, shortId } from "./wording.js";

const SHOWN = 80;

export class Feed {
  constructor(store) {
    this.store = store;
    this.list = one("feed-list");
    this.drawn = null;
  }

  /** Draw what is new. */
  draw() {
    const { events, eventsSeen } = this.store;
    if (this.drawn?.seen === eventsSeen && this.drawn.events === events) return;
    const fresh = this.drawn?.events === events ? Math.min(eventsSeen - this.drawn.seen, SHOWN) : SHOWN;
    const items = events
      .slice(-fresh)
      .reverse()
      .map((event) => this.#item(event));
    if (this.drawn?.events === events) this.list.prepend(...items);
    else fill(this.list, items);
    while (this.list.childElementCount > SHOWN) this.list.lastElementChild.remove();
    if (!events.length) fill(this.list, element("li.empty", {}, "No events yet."));
    else this.list.querySelector(".empty")?.remove();
    this.drawn = { seen: eventsSeen, events };
  }

  #item(event) {
    const who =
      event.execution === ""
        ? element("span.who", {}, "monitor")
        : element(
            "a.who",
            { href: `#/execution/${encodeURIComponent(event.execution)}`, title: plain(event.execution, 2000) },
            shortId(event.execution),
          );
    return element(
      "li",
      { data: { level: event.level, event: event.id } },
      badges.level(this.store, event),
      element("span.line", {}, who, element("time", { title: moment(event.at) }, clock(event.at))),
      element("span.text", { title: plain(event.text, 2000) }, plain(event.text)),
    );
  }
}
