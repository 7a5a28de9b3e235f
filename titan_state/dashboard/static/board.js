// Board: the view of all executions: filters, counts, the grid and the feed. What is asked is kept in the address.

import * as badges from "./badges.js";
import { element, fill, mark, one, say } from "./elements.js";
import { Feed } from "./feed.js";
import { Grid } from "./grid.js";
import { address, ask, narrows, NO_TASK, parse } from "./query.js";
import { count, counted, plain } from "./wording.js";

const MOST_TASKS = 300; // a longer list is none to choose from: the search finds the others
const MOST_OTHERS = 20; // statuses outside the model; the search does not find the others, the groups do

export class Board {
  constructor(store, later) {
    this.store = store;
    this.later = later;
    this.query = parse("");
    this.folded = new Set();
    this.chips = new Map();
    this.asked = null;
    this.left = null; // the query that was left, and how far it was scrolled
    this.feed = new Feed(store);
    this.grid = new Grid(one("grid"), store, {
      open: (id) => (location.hash = `#/execution/${encodeURIComponent(id)}`),
      fold: (key) => this.#fold(key),
    });
    one("search").addEventListener("input", () => this.#narrow({ text: one("search").value }));
    one("task").addEventListener("change", () => {
      const value = one("task").value;
      this.#narrow({ task: value === "" ? null : value === "-" ? NO_TASK : value.slice(1) });
    });
    one("group").addEventListener("change", () => this.#narrow({ group: one("group").value }));
    one("flawed").addEventListener("click", () => this.toggleFlawed());
    one("clear").addEventListener("click", () => this.clear());
    one("feed-toggle").addEventListener("click", () => this.#toggleFeed());
    this.#toggleFeed(!matchMedia("(max-width: 980px)").matches);
  }

  /** Return where this board is found again. */
  address() {
    return address(this.query);
  }

  show(argument) {
    this.query = parse(argument);
    this.asked = null;
    const search = one("search");
    if (search.value !== this.query.text) search.value = this.query.text;
    one("group").value = this.query.group;
    one("grid").scrollTop = this.left?.address === this.address() ? this.left.top : 0;
  }

  hide() {
    this.left = { address: this.address(), top: one("grid").scrollTop };
  }

  /** Show only what has anomalies, or everything again. */
  toggleFlawed() {
    this.#narrow({ flawed: !this.query.flawed });
  }

  /** Leave nothing out. */
  clear() {
    one("search").value = "";
    this.#narrow({ statuses: new Set(), flawed: false, text: "", task: null });
    one("grid").focus();
  }

  draw(now, standing) {
    const { store } = this;
    if (this.asked?.revision !== store.revision || this.asked.hello !== store.hello) {
      this.asked = { revision: store.revision, hello: store.hello, ...ask(store, this.query, this.folded) };
      this.#drawChips();
      this.#drawTasks();
      this.#drawCount(standing);
    } else if (this.asked.kind !== standing.kind || this.asked.hidden !== store.state?.hidden) {
      this.#drawCount(standing);
    }
    this.asked.kind = standing.kind;
    this.asked.hidden = store.state?.hidden;
    this.grid.show(this.asked.items, now, standing.frozenAt !== null);
    this.feed.draw();
  }

  #narrow(change) {
    Object.assign(this.query, change);
    history.replaceState(null, "", this.address());
    this.asked = null;
    one("grid").scrollTop = 0;
    this.later();
  }

  #fold(key) {
    if (!this.folded.delete(key)) this.folded.add(key);
    this.asked = null;
    this.later();
  }

  #drawChips() {
    const { byStatus, flawed } = this.asked;
    const place = one("chips");
    const { shown, left } = this.#statuses(byStatus);
    let next = place.firstChild;
    for (const status of shown) {
      let chip = this.chips.get(status);
      if (!chip) this.chips.set(status, (chip = this.#chip(status)));
      if (chip.node === next) next = next.nextSibling;
      else place.insertBefore(chip.node, next);
      if (chip.hello !== this.store.hello) chip.set(status); // its sign may be another one
      chip.hello = this.store.hello;
      const number = byStatus.get(status) ?? 0;
      say(chip.number, count(number));
      mark(chip.node, "aria-pressed", String(this.query.statuses.has(status)));
      chip.node.classList.toggle("none", number === 0);
    }
    for (const [status, chip] of this.chips) {
      if (shown.has(status)) continue;
      chip.node.remove();
      this.chips.delete(status);
    }
    one("others").hidden = left === 0;
    say(one("others"), left ? `… ${count(left)} other status${left === 1 ? "" : "es"}` : "");
    mark(one("flawed"), "aria-pressed", String(this.query.flawed));
    one("flawed").classList.toggle("none", flawed === 0);
    say(one("flawed-number"), count(flawed));
  }

  // Those of the model, and of the others those that are asked for and that most executions have, in their order.
  #statuses(byStatus) {
    const asked = this.query.statuses;
    const known = new Set(this.store.hello?.statuses);
    const all = this.store.statuses(new Map([...byStatus, ...[...asked].map((status) => [status, 0])]));
    const isHeld = (status) => asked.has(status) || this.chips.get(status)?.node === document.activeElement;
    const others = all.filter((status) => !known.has(status) && (isHeld(status) || byStatus.get(status)));
    const most = [...others]
      .sort((one, other) => isHeld(other) - isHeld(one) || (byStatus.get(other) ?? 0) - (byStatus.get(one) ?? 0))
      .slice(0, Math.max(MOST_OTHERS, asked.size));
    const kept = new Set(most);
    return {
      shown: new Set(all.filter((status) => known.has(status) || kept.has(status))),
      left: others.length - most.length,
    };
  }

  #chip(status) {
    const { made, set } = badges.statusSlot(this.store);
    const number = element("span.number", {}, "0");
    const toggle = () => {
      const statuses = new Set(this.query.statuses);
      if (!statuses.delete(status)) statuses.add(status);
      this.#narrow({ statuses });
    };
    const data = { status, tone: badges.tone(status) };
    const given = { type: "button", data, "aria-pressed": "false", onclick: toggle };
    set(status);
    return { number, set, hello: this.store.hello, node: element("button.chip", given, made, " ", number) };
  }

  #drawTasks() {
    const select = one("task");
    const { byTask } = this.asked;
    const { task } = this.query;
    const isNamed = task !== null && task !== NO_TASK;
    const named = [...byTask.keys()].filter((name) => name !== null);
    const left = Math.max(0, named.length - MOST_TASKS);
    if (left) named.sort((one, other) => byTask.get(other) - byTask.get(one));
    const shown = named.slice(0, MOST_TASKS).sort();
    if (isNamed && !shown.includes(task)) shown.unshift(task);
    const hasNone = byTask.has(null) || task === NO_TASK;
    const told = JSON.stringify([shown, hasNone, left]);
    const value = task === null ? "" : task === NO_TASK ? "-" : `=${task}`;
    if (this.tasksTold !== told && (document.activeElement !== select || select.value !== value)) {
      this.tasksTold = told; // a list that may be open is left alone
      fill(
        select,
        element("option", { value: "" }, "all tasks"),
        shown.map((name) => element("option", { value: `=${name}` }, plain(name, 48))),
        hasNone ? element("option", { value: "-" }, "without a task") : null,
        left ? element("option", { disabled: true }, `${count(left)} more: search for them`) : null,
      );
    }
    if (select.value !== value) select.value = value;
  }

  #drawCount(standing) {
    const { found } = this.asked;
    const total = this.store.rows.size;
    const isNarrowed = narrows(this.query);
    const hidden = this.store.state?.hidden ?? 0;
    const parts = [isNarrowed ? `${count(found)} of ${counted(total, "execution")}` : counted(total, "execution")];
    if (this.store.isFilling && this.store.hello) parts.push("more are coming");
    if (hidden) parts.push(`${count(hidden)} older ones are not kept here`);
    say(one("count"), parts.join(" · "));
    one("clear").hidden = !isNarrowed;
    const nothing = one("nothing");
    nothing.hidden = found > 0;
    if (found > 0) return;
    const isWaiting = this.store.hello === null || (this.store.isFilling && total === 0);
    say(
      nothing.querySelector("strong"),
      isWaiting
        ? standing.kind === "connecting"
          ? "Connecting"
          : "Not connected"
        : total
          ? "Nothing matches"
          : "Nothing is watched yet",
    );
    say(
      nothing.querySelector("span"),
      isWaiting
        ? "Executions show here as soon as the dashboard can be read."
        : total
          ? "No execution matches these filters."
          : "Executions show here as soon as the monitor sees the first one.",
    );
    nothing.querySelector("button").hidden = !total;
    nothing.querySelector("button").onclick = () => this.clear();
  }

  #toggleFeed(isOpen = one("feed-toggle").getAttribute("aria-expanded") !== "true") {
    mark(one("feed-toggle"), "aria-expanded", String(isOpen));
    one("feed").classList.toggle("folded", !isOpen);
  }
}
