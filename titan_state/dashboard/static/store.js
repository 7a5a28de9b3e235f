// Store: what the server has told, as it is now: rows with their order, latest events, the state of the monitor.
// Rows are changed in place; `version` is another one after each change, and never one that any row had before, so that
// whoever draws knows what to draw again.

const EVENTS_KEPT = 200;
const GRAVITY = { warning: 1, error: 2, critical: 3 };
const CLOCK_MS = 60000;

/**
 * @typedef {{id: string, task: ?string, status: string, since: ?number, phase: ?string, progress: ?number,
 *   seen: ?number, anomalies: [string, number][], created: ?number, over: boolean, text: string, rank: number,
 *   moved: number, version: number}} Row
 */

export class Store {
  constructor() {
    this.hello = null;
    this.state = null;
    this.versions = 0; // it never starts again: rows of a new connection are other ones
    this.offset = (Date.now() - performance.now()) / 1000; // the server's clock less ours, in seconds
    this.offsets = []; // of the last minute
    this.isFilling = true;
    this.open = 0; // open anomalies
    this.revision = 0;
    this.events = [];
    this.eventsSeen = 0;
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    /** @type {Row[]} */
    this.sorted = [];
    this.isSorted = true;
  }

  /** Return the time by the server's clock, in seconds; ours is one that nobody sets. */
  now() {
    return performance.now() / 1000 + this.offset;
  }

  takeHello(hello) {
    this.hello = hello;
    this.state = null;
    this.isFilling = true;
  }

  takeState(state) {
    const at = performance.now();
    if (this.state === null) this.offsets = [];
    this.offsets = this.offsets.filter((kept) => at - kept.at < CLOCK_MS);
    this.offsets.push({ at, offset: state.now - at / 1000 });
    // a message that was held up makes the server's clock look late, never early: the greatest difference is the best
    this.offset = Math.max(...this.offsets.map(({ offset }) => offset));
    this.state = state;
  }

  takeRows({ reset, more, rows, gone }) {
    if (reset) {
      this.rows.clear();
      this.sorted = [];
      this.open = 0;
    }
    for (const told of rows) this.#take(told);
    if (gone.length) {
      const left = new Set();
      for (const id of gone) {
        const row = this.rows.get(id);
        if (!row) continue;
        this.open -= row.anomalies.length;
        this.rows.delete(id);
        left.add(row);
      }
      if (left.size) this.sorted = this.sorted.filter((row) => !left.has(row));
    }
    this.isFilling = more;
    this.revision++;
  }

  takeEvents({ items }, isFirst) {
    if (isFirst) this.events = [];
    this.events.push(...items);
    this.eventsSeen += items.length;
    if (this.events.length > EVENTS_KEPT) this.events.splice(0, this.events.length - EVENTS_KEPT);
  }

  /** Return the rows, those with anomalies first, then what lives, then what is over; the latest change first. */
  ordered() {
    if (!this.isSorted) {
      this.sorted.sort(byUrgency);
      this.isSorted = true;
    }
    return this.sorted;
  }

  /** Return how grave a kind of anomaly is. */
  severity(kind) {
    return own(this.hello?.severities, kind) ?? "warning";
  }

  /** Return how grave a kind of anomaly is as a number: the graver, the greater. */
  gravity(kind) {
    return own(GRAVITY, this.severity(kind)) ?? 1;
  }

  /** Return the sign of a status. */
  glyph(status) {
    return own(this.hello?.glyphs, status) ?? "?";
  }

  /** Return how many rows each status has. */
  counts() {
    const counts = new Map();
    for (const row of this.rows.values()) counts.set(row.status, (counts.get(row.status) ?? 0) + 1);
    return counts;
  }

  /** Return the statuses in the model's order, then `vanished`, then what else there is. */
  statuses(counts) {
    const known = [...(this.hello?.statuses ?? []), "vanished"];
    const others = [...counts.keys()].filter((status) => !known.includes(status)).sort();
    return [...known, ...others];
  }

  #take([id, task, status, since, phase, progress, seen, anomalies, created, over]) {
    let row = this.rows.get(id);
    const isNew = row === undefined;
    if (isNew) {
      row = { id, text: "" };
      this.rows.set(id, row);
      this.sorted.push(row);
    } else this.open -= row.anomalies.length;
    this.open += anomalies.length;
    const kinds = anomalies.map(([kind]) => kind).join("\n");
    if (isNew || row.task !== task || row.phase !== phase || row.kinds !== kinds)
      row.text = `${id}\n${task ?? ""}\n${phase ?? ""}\n${kinds}`.toLowerCase();
    row.kinds = kinds;
    let gravest = 0;
    let moved = since ?? created ?? 0;
    for (const [kind, at] of anomalies) {
      gravest = Math.max(gravest, this.gravity(kind));
      if (at > moved) moved = at;
    }
    const rank = gravest ? 3 - gravest : over ? 5 : 4;
    if (isNew || rank !== row.rank || moved !== row.moved) this.isSorted = false;
    Object.assign(row, { task, status, since, phase, progress, seen, anomalies, created, over, rank, moved });
    row.version = ++this.versions;
  }
}

function byUrgency(one, other) {
  return one.rank - other.rank || other.moved - one.moved || (one.id < other.id ? -1 : 1);
}

// A service may call a status "constructor": what every object has is none of ours.
function own(table, name) {
  return table && Object.hasOwn(table, name) ? table[name] : undefined;
}
