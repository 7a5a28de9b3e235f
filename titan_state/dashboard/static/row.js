// Row: what one row of the grid looks like, an execution or the head of a group. A row is used again for other
// executions while the grid is scrolled, so it changes only what is different.

import * as badges from "./badges.js";
import { element, fill, mark } from "./elements.js";
import { ago, clock, count, duration, moment, plain, shortId } from "./wording.js";

/** The row of an execution. */
export class Row {
  constructor(store) {
    const text = () => document.createTextNode("");
    const cell = (name, ...children) => element(`span.cell.${name}`, { role: "gridcell" }, ...children);
    this.store = store;
    this.isHead = false;
    for (const part of ["head", "tail", "age", "seen", "percent"]) this[part] = text();
    this.link = element(
      "a",
      { tabIndex: -1 },
      element("span.head", {}, this.head),
      element("span.tail", {}, this.tail),
    );
    this.bar = badges.bar();
    this.phase = element("span.phase", {}, text());
    this.state = badges.statusSlot(store, true);
    this.task = cell("task", text());
    this.anomalies = cell("anomalies");
    this.flaws = "";
    this.node = element(
      "div.row",
      { role: "row" },
      cell("state", this.state.made),
      cell("execution", this.link),
      this.task,
      cell("age", this.age),
      cell("progress", this.bar.made, element("span.percent", {}, this.percent), this.phase),
      this.anomalies,
      cell("seen", this.seen),
    );
    this.renew();
  }

  /** The next execution is another one. */
  renew() {
    this.version = 0;
    this.status = null;
    this.glow?.cancel();
  }

  /** Draw. @param {import("./store.js").Row} row */
  draw(row, now, isFrozen) {
    if (this.hello !== this.store.hello) {
      this.hello = this.store.hello; // signs and gravities may be others
      if (this.version) this.state.set(row.status);
      this.version = 0;
      this.flaws = "";
      fill(this.anomalies);
    }
    if (this.version !== row.version) {
      const isChange = this.status !== null && this.status !== row.status;
      this.version = row.version;
      this.moved = row.moved;
      this.#write(row);
      this.status = row.status;
      if (isChange) this.#glow();
    }
    write(this.age, row.since === null || row.status === "vanished" ? "" : duration(now - row.since));
    write(this.seen, row.seen === null ? "" : isFrozen ? clock(row.seen) : ago(now - row.seen));
  }

  /** Tell dates to who points at it: to write them for every row would cost more than all the rest. */
  entitle(row) {
    this.age.parentNode.title = row.since === null ? "" : `${plain(row.status, 60)} since ${moment(row.since)}`;
    this.seen.parentNode.title = row.seen === null ? "never seen" : `last seen at ${moment(row.seen)}`;
  }

  #write(row) {
    const { node } = this;
    if (node.dataset.id !== row.id) {
      node.dataset.id = row.id;
      this.link.href = `#/execution/${encodeURIComponent(row.id)}`;
      this.link.title = plain(row.id, 2000);
      [this.head.data, this.tail.data] = badges.parts(row.id);
    }
    node.classList.toggle("over", row.over);
    node.classList.toggle("flawed", row.anomalies.length > 0);
    if (this.status !== row.status) {
      node.dataset.status = row.status;
      this.state.set(row.status);
    }
    if (this.taskId !== row.task) {
      this.taskId = row.task;
      this.task.title = row.task === null ? "" : plain(row.task, 2000);
      write(this.task.firstChild, row.task === null ? "" : shortId(row.task, 40));
    }
    write(this.percent, this.bar.set(row.over ? null : row.progress));
    const phase = row.over ? "" : (row.phase ?? "");
    if (this.phaseName !== phase) {
      this.phaseName = phase;
      write(this.phase.firstChild, plain(phase));
      this.phase.title = plain(phase, 2000);
    }
    this.#writeAnomalies(row.anomalies);
  }

  #writeAnomalies(anomalies) {
    const flaws = anomalies.map(([kind, at]) => `${kind} ${at}`).join(" ");
    if (this.flaws === flaws) return;
    this.flaws = flaws;
    const gravity = ([kind]) => this.store.gravity(kind);
    const ordered = [...anomalies].sort((one, other) => gravity(other) - gravity(one)); // the last may have no room
    fill(
      this.anomalies,
      anomalies.length > 1
        ? element("span.number", { title: `${anomalies.length} anomalies` }, anomalies.length)
        : null,
      ordered.map(([kind, at]) => {
        const badge = badges.anomaly(this.store, kind);
        badge.title += typeof at === "number" ? `, since ${clock(at)}` : "";
        return badge;
      }),
    );
  }

  #glow() {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const colour = "color-mix(in srgb, var(--accent) 16%, transparent)";
    const steps = [{ backgroundColor: colour }, { backgroundColor: "transparent" }];
    this.glow = this.node.animate(steps, { duration: 1400, easing: "ease-out" });
  }
}

/** The head of a group. */
export class Head {
  constructor(store) {
    this.store = store;
    this.isHead = true;
    this.cell = element("span.cell", { role: "gridcell", "aria-colspan": 7 });
    this.node = element("div.row.group", { role: "row" }, this.cell);
  }

  /** Draw. @param {{by: string, name: ?string, count: number, flawed: number, isFolded: boolean}} head */
  draw(head) {
    const told = `${head.count} ${head.flawed} ${head.isFolded}`;
    if (this.told === told && this.hello === this.store.hello) return;
    this.told = told;
    this.hello = this.store.hello;
    const name = head.name === null ? "without a task" : plain(head.name, 120);
    this.node.dataset.group = head.name ?? "";
    mark(this.node, "aria-expanded", String(!head.isFolded));
    fill(
      this.cell,
      element("span.fold", { "aria-hidden": "true" }, head.isFolded ? "▸" : "▾"),
      element("span.name", {}, head.by === "status" ? badges.status(this.store, head.name) : name),
      element("span.number", {}, count(head.count)),
      head.flawed ? element("span.flawed", {}, `⚠\ufe0e ${count(head.flawed)} with anomalies`) : null,
    );
  }
}

// A text node whose text is changed costs less than an element whose content is replaced.
function write(node, text) {
  if (node.data !== text) node.data = text;
}
