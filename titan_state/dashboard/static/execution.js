// Execution: the view of one execution: its heading and its timeline. What is known of it now, what may be done, the
// outputs and the record are modules of their own.
// It asks the server again when something of this execution changes.

import * as badges from "./badges.js";
import { Controls } from "./controls.js";
import { element, fill, one, say } from "./elements.js";
import { Facts } from "./facts.js";
import { load } from "./figures.js";
import { announce } from "./notices.js";
import { entries, Outputs } from "./outputs.js";
import { Record } from "./record.js";
import { request } from "./session.js";
import { ago, clock, duration, lines, plain } from "./wording.js";

const SOON_MS = 120; // events of one moment come together
const REDRAW_MS = 2000;
const FIRST_WAIT_MS = 500; // before what failed is asked again
const LONGEST_WAIT_MS = 15000;
// A monitor that is blind can still be asked to stop something; one that cannot be reached cannot.
const CUT = new Set(["connecting", "reconnecting", "disconnected", "resting", "refused"]);

export class Execution {
  constructor(store, later) {
    this.store = store;
    this.later = later;
    this.id = null;
    this.controls = new Controls(() => this.reload());
    this.outputs = new Outputs();
    this.record = new Record(store);
    this.facts = new Facts();
    this.questions = 0; // only the answer to the latest counts
    this.drawings = 0; // one that was asked for earlier than the one that is shown does not count
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
    this.extra = null;
    this.#forget();
    this.controls.show(id);
    this.outputs.show(id);
    this.record.clear();
    fill(one("execution-title"), badges.ident(id));
    one("execution-title").title = plain(id, 2000);
    for (const name of ["timeline", "execution-status", "execution-age"]) fill(one(name));
    this.reload();
  }

  hide() {
    this.controls.show(null);
    this.id = null;
    this.#forget();
  }

  /** Something happened: ask again if it concerns this execution. Of those that are skipped not all events are told. */
  news(events, skipped) {
    if (this.id === null) return;
    if (events.some((event) => event.execution === this.id) || skipped.includes(this.id)) this.reload();
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

  // What was asked for until now is of no interest.
  #forget() {
    this.questions++;
    this.drawnAs = this.drawings;
    this.isAsking = false;
    this.underWay = null;
    this.wait = FIRST_WAIT_MS;
    clearTimeout(this.again);
    clearTimeout(this.timer);
    this.timer = null;
  }

  async #ask() {
    const { id } = this;
    if (id === null) return;
    if (this.isAsking) {
      this.isStale = true;
      return;
    }
    const question = ++this.questions;
    clearTimeout(this.again);
    this.isAsking = true;
    this.isStale = false;
    try {
      const details = await request(`/api/execution?id=${encodeURIComponent(id)}`);
      if (question !== this.questions) return;
      this.details = details;
      this.problem = null;
      this.wait = FIRST_WAIT_MS;
      this.record.take(details, this.store.now());
      this.controls.take(details.actions);
      this.outputs.take(details.outputs);
    } catch (error) {
      if (question !== this.questions) return;
      this.problem = error;
      if (error.status === 404) this.details = null;
      if (error.status !== 404 || this.store.rows.has(id)) this.#askAgain();
    }
    this.isAsking = false;
    this.later();
    if (this.problem?.status !== 401) this.#drawTimeline();
    if (this.isStale) this.reload();
  }

  // Without a connection it is asked again when there is one.
  #askAgain() {
    this.again = setTimeout(() => (CUT.has(this.standing?.kind) ? null : this.reload()), this.wait);
    this.wait = Math.min(LONGEST_WAIT_MS, this.wait * 2);
  }

  draw(now, standing) {
    const row = this.store.rows.get(this.id);
    const version = row ? `${row.status} ${row.anomalies.length}` : null;
    if (version !== this.version) {
      if (version !== null && (this.version !== null || this.problem?.status === 404)) this.reload();
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
    this.#drawFacts(seen);
    const obstacle = this.#obstacle();
    this.controls.draw(
      isCut ? `${standing.word}: nothing can be sent` : obstacle,
      isFrozen ? (this.details?.as_of ?? null) : null,
    );
    this.outputs.draw(isCut);
    this.record.draw(now);
  }

  #obstacle() {
    const { problem } = this;
    const isOld = problem !== null && problem.status !== 404 && this.details !== null && !CUT.has(this.standing.kind);
    const told = problem && plain(problem.message, 1000);
    say(one("problem"), isOld ? `✗ It could not be read again: ${told}. Details may be old.` : "");
    return told;
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
    if (place.dataset.status !== seen.status || this.hello !== this.store.hello || !place.childElementCount) {
      this.hello = this.store.hello;
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

  #drawFacts(seen) {
    const execution = this.details?.execution;
    this.facts.draw(seen, execution);
    const error = execution?.error;
    one("execution-error").hidden = !error;
    say(one("execution-error-text"), error ? lines(error) : "");
    const told = JSON.stringify(execution?.extra ?? null);
    if (this.extra === told) return;
    this.extra = told;
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
    const number = ++this.drawings;
    this.underWay = number;
    try {
      const drawing = await load(
        `/api/timeline?id=${encodeURIComponent(id)}&width=${width}&offset=${-new Date().getTimezoneOffset()}`,
      );
      if (!this.#isNewest(id, number)) return;
      fill(place, drawing);
    } catch (error) {
      if (error.status !== 404 && (id !== this.id || place.childElementCount)) return;
      if (!this.#isNewest(id, number)) return;
      const told =
        error.status === 404
          ? "Nothing is written down of this execution yet."
          : `The timeline is not there: ${plain(error.message)}.`;
      fill(place, element("p.empty", {}, told));
    } finally {
      if (this.underWay === number) this.underWay = null;
    }
  }

  #isNewest(id, number) {
    if (id !== this.id || number <= this.drawnAs) return false;
    this.drawnAs = number;
    return true;
  }

  #redraw() {
    if (this.id === null || this.underWay !== null || document.hidden) return;
    if (!this.details || this.standing?.frozenAt !== null) return;
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
