// Board: the view of all executions: filters, counts, the grid and the feed. What is asked is kept in the address.

import * as badges from "./badges.js";
import { element, fill, mark, one, say } from "./elements.js";
import { Feed } from "./feed.js";
import { Grid } from "./grid.js";
import { address, ask, narrows, NO_TASK, parse } from "./query.js";
import { count, counted, plain } from "./wording.js";

const MOST_TASKS = 300; // a longer list is none to choose from: the search finds the others

export class Board {
  constructor(store, later) {
    this.store = store;
    this.later = later;
    this.query = parse("");
    this.folded = new Set();
    this.chips = new Map();
    this.asked = null;
    this.scrollTop = 0;
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
    one("grid").scrollTop = this.scrollTop;
  }

  hide() {
    this.scrollTop = one("grid").scrollTop;
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
    } else if (this.asked.kind !== standing.kind) this.#drawCount(standing);
    this.asked.kind = standing.kind;
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
    const statuses = this.store.statuses(byStatus);
    for (const asked of this.query.statuses) if (!statuses.includes(asked)) statuses.push(asked);
    for (const status of statuses) {
      let chip = this.chips.get(status);
      const number = byStatus.get(status) ?? 0;
      const isPressed = this.query.statuses.has(status);
      if (!chip) {
        if (!number && !isPressed && (status === "vanished" || !this.store.hello?.statuses.includes(status))) continue;
        chip = this.#chip(status);
        this.chips.set(status, chip);
        place.append(chip.node);
      }
      say(chip.number, count(number));
      mark(chip.node, "aria-pressed", String(isPressed));
      chip.node.classList.toggle("none", number === 0);
    }
    mark(one("flawed"), "aria-pressed", String(this.query.flawed));
    one("flawed").classList.toggle("none", flawed === 0);
    say(one("flawed-number"), count(flawed));
  }

  #chip(status) {
    const number = element("span.number", {}, "0");
    const toggle = () => {
      const statuses = new Set(this.query.statuses);
      if (!statuses.delete(status)) statuses.add(status);
      this.#narrow({ statuses });
    };
    const data = { status, tone: badges.tone(status) };
    return {
      number,
      node: element(
        "button.chip",
        { type: "button", data, "aria-pressed": "false", onclick: toggle },
        badges.status(this.store, status),
        " ",
        number,
      ),
    };
  }

  #drawTasks() {
    const select = one("task");
    const { byTask } = this.asked;
    const named = [...byTask.keys()].filter((task) => task !== null);
    const told = `${named.length} ${byTask.has(null)} ${this.query.task}`;
    if (this.tasksTold === told || document.activeElement === select) return;
    this.tasksTold = told;
    named.sort((one, other) => byTask.get(other) - byTask.get(one));
    const shown = named.slice(0, MOST_TASKS).sort();
    const { task } = this.query;
    if (task !== null && task !== NO_TASK && !shown.includes(task)) shown.unshift(task);
    fill(
      select,
      element("option", { value: "" }, "all tasks"),
      shown.map((name) => element("option", { value: `=${name}` }, plain(name, 48))),
      byTask.has(null) || task === NO_TASK ? element("option", { value: "-" }, "without a task") : null,
      named.length > MOST_TASKS
        ? element("option", { disabled: true }, `${count(named.length - MOST_TASKS)} more: search for them`)
        : null,
    );
    select.value = task === null ? "" : task === NO_TASK ? "-" : `=${task}`;
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
          ? `None of ${counted(total, "execution")} is as the filters ask.`
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
