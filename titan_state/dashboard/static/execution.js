// Execution: the view of one execution: its heading, what is known of it now, and its timeline. What may be done, the
// outputs and the record are modules of their own.
// It asks the server again when something of this execution changes.

import * as badges from "./badges.js";
import { Controls } from "./controls.js";
import { element, fill, one, say } from "./elements.js";
import { load } from "./figures.js";
import { announce } from "./notices.js";
import { entries, Outputs } from "./outputs.js";
import { address } from "./query.js";
import { Record } from "./record.js";
import { request } from "./session.js";
import { ago, clock, duration, lines, moment, plain } from "./wording.js";

const SOON_MS = 120; // events of one moment come together
const REDRAW_MS = 2000;
// A monitor that is blind can still be asked to stop something; one that cannot be reached cannot.
const CUT = new Set(["connecting", "reconnecting", "disconnected", "refused"]);
const DATES = [
  ["created_at", "created"],
  ["started_at", "started"],
  ["finished_at", "finished"],
  ["updated_at", "updated"],
];

export class Execution {
  constructor(store, later) {
    this.store = store;
    this.later = later;
    this.id = null;
    this.controls = new Controls(() => this.reload());
    this.outputs = new Outputs();
    this.record = new Record(store);
    one("copy").addEventListener("click", () => this.#copy());
    new ResizeObserver(() => this.#resized()).observe(one("timeline"));
    setInterval(() => this.#redraw(), REDRAW_MS);
  }

  show(id) {
    this.id = id;
    this.details = null;
    this.problem = null;
    this.version = null;
    this.width = 0;
    this.controls.show(id);
    this.outputs.show(id);
    this.record.clear();
    fill(one("execution-title"), badges.ident(id));
    one("execution-title").title = plain(id, 2000);
    for (const name of ["timeline", "execution-status", "execution-facts", "execution-age"]) fill(one(name));
    this.reload();
  }

  hide() {
    this.controls.show(null);
    this.id = null;
  }

  /** Something happened: ask again if it concerns this execution. */
  news(events) {
    if (this.id !== null && events.some((event) => event.execution === this.id)) this.reload();
  }

  /** Ask for everything again, soon. */
  reload() {
    if (this.id === null) return;
    this.timer ??= setTimeout(
      () => {
        this.timer = null;
        this.#ask();
      },
      this.details ? SOON_MS : 0,
    );
  }

  async #ask() {
    const { id } = this;
    if (id === null) return;
    if (this.isAsking === id) {
      this.isStale = true;
      return;
    }
    this.isAsking = id;
    this.isStale = false;
    const query = `?id=${encodeURIComponent(id)}`;
    try {
      const details = await request(`/api/execution${query}`);
      if (id !== this.id) return;
      this.details = details;
      this.problem = null;
      this.record.take(details, this.store.now());
      this.controls.take(details.actions);
      this.outputs.take(details.outputs);
    } catch (error) {
      if (id !== this.id) return;
      this.problem = error;
      if (error.status === 404) this.details = null;
    } finally {
      if (this.isAsking === id) this.isAsking = null;
      if (id === this.id) {
        this.later();
        this.#drawTimeline();
        if (this.isStale) this.reload();
      }
    }
  }

  draw(now, standing) {
    const row = this.store.rows.get(this.id);
    const version = row ? `${row.status} ${row.anomalies.length}` : null;
    if (version !== this.version) {
      if (this.version !== null && version !== null) this.reload();
      this.version = version;
    }
    if (this.standing && (this.standing.kind === "unwatched") !== (standing.kind === "unwatched")) this.reload();
    this.standing = standing; // what may be done depends on whether a monitor can be asked
    const isMissing = this.problem?.status === 404 && !row;
    one("unknown").hidden = !isMissing;
    one("known").hidden = isMissing;
    if (isMissing) return;
    const isFrozen = standing.frozenAt !== null;
    const isCut = CUT.has(standing.kind);
    const seen = this.#seen(row);
    this.#drawStatus(seen, now);
    this.#drawFacts(seen, now);
    this.controls.draw(
      isCut ? `${standing.word}: nothing can be sent` : this.#obstacle(),
      isFrozen ? (this.details?.as_of ?? null) : null,
    );
    this.outputs.draw(isCut);
    this.record.draw(now);
  }

  #obstacle() {
    if (this.problem && !this.details) return `${this.problem.message}`;
    return null;
  }

  // What the board knows is newer than the answer that was asked for.
  #seen(row) {
    const told = this.details?.row;
    if (row) return row;
    if (told) {
      const [id, task, status, since, phase, progress, seen, anomalies, created, over] = told;
      return { id, task, status, since, phase, progress, seen, anomalies, created, over };
    }
    const execution = this.details?.execution;
    if (!execution) return null;
    return {
      id: this.id,
      task: execution.task_id ?? null,
      status: execution.status,
      since: null,
      phase: execution.phase ?? null,
      progress: execution.progress ?? null,
      seen: null,
      anomalies: [],
      created: null,
      over: false,
    };
  }

  #drawStatus(seen, now) {
    if (!seen) return;
    const place = one("execution-status");
    if (place.dataset.status !== seen.status || !place.childElementCount) {
      place.dataset.status = seen.status;
      place.dataset.tone = badges.tone(seen.status);
      fill(place, badges.status(this.store, seen.status));
    }
    const parts = [];
    if (seen.since !== null)
      parts.push(
        seen.status === "vanished"
          ? `since ${clock(seen.since)}`
          : `for ${duration(now - seen.since)}, since ${clock(seen.since)}`,
      );
    if (seen.seen !== null)
      parts.push(`last seen ${this.standing.frozenAt === null ? ago(now - seen.seen) : `at ${clock(seen.seen)}`}`);
    say(one("execution-age"), parts.join(" · "));
  }

  #drawFacts(seen, now) {
    const execution = this.details?.execution;
    const told = JSON.stringify([seen?.task, seen?.phase, seen?.progress, seen?.over, execution]);
    if (this.facts === told && one("execution-facts").childElementCount) return;
    this.facts = told;
    const fact = (name, ...value) => element("div.fact", {}, element("dt", {}, name), element("dd", {}, ...value));
    const task = seen?.task ?? execution?.task_id;
    const bar = badges.bar();
    const percent = bar.set(seen?.progress ?? execution?.progress ?? null);
    const phase = seen?.phase ?? execution?.phase;
    fill(
      one("execution-facts"),
      task
        ? fact(
            "task",
            element(
              "a",
              { href: address({ task }), title: `${plain(task, 1000)}: show its executions` },
              plain(task, 120),
            ),
          )
        : null,
      percent ? fact("progress", bar.made, element("span.number", {}, percent)) : null,
      phase ? fact("phase", element("span", { title: plain(phase, 2000) }, plain(phase, 120))) : null,
      DATES.map(([key, name]) => {
        const at = Date.parse(execution?.[key] ?? "") / 1000;
        return Number.isNaN(at) ? null : fact(name, element("time", { title: moment(at) }, clock(at)));
      }),
    );
    const error = execution?.error;
    one("execution-error").hidden = !error;
    say(one("execution-error-text"), error ? lines(error) : "");
    const extra = entries(execution?.extra);
    one("extra").hidden = !extra;
    fill(one("extra-entries"), extra);
  }

  async #drawTimeline() {
    const { id } = this;
    const place = one("timeline");
    const width = Math.floor(place.clientWidth);
    if (id === null || width < 50) return;
    this.width = width;
    try {
      const drawing = await load(
        `/api/timeline?id=${encodeURIComponent(id)}&width=${width}&offset=${-new Date().getTimezoneOffset()}`,
      );
      if (id === this.id) fill(place, drawing);
    } catch (error) {
      if (id === this.id && (error.status === 404 || !place.childElementCount)) {
        fill(
          place,
          element(
            "p.empty",
            {},
            error.status === 404
              ? "Nothing is written down of this execution yet."
              : `The timeline is not there: ${plain(error.message)}.`,
          ),
        );
      }
    }
  }

  #redraw() {
    if (this.id === null || document.hidden || !this.details || this.standing?.frozenAt !== null) return;
    const seen = this.#seen(this.store.rows.get(this.id));
    if (seen && !seen.over && !one("timeline").matches(":hover")) this.#drawTimeline(); // its titles can be read
  }

  #resized() {
    const width = Math.floor(one("timeline").clientWidth);
    if (this.id === null || !this.details || Math.abs(width - this.width) < 4) return;
    clearTimeout(this.resizing);
    this.resizing = setTimeout(() => this.#drawTimeline(), 100);
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText(this.id);
      say(one("copy"), "Copied");
      announce("The id was copied");
    } catch {
      getSelection().selectAllChildren(one("execution-title"));
      say(one("copy"), "Selected");
    }
    setTimeout(() => say(one("copy"), "Copy id"), 1500);
  }
}
