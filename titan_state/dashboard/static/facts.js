// Facts: what is known of one execution in a few words. Its parts are made once: what has the focus, or is selected,
// stays so when a text changes.

import * as badges from "./badges.js";
import { element, fill, mark, one, say } from "./elements.js";
import { address } from "./query.js";
import { clock, moment, plain } from "./wording.js";

const DATES = [
  ["created_at", "created"],
  ["started_at", "started"],
  ["finished_at", "finished"],
  ["updated_at", "updated"],
];

export class Facts {
  constructor() {
    this.task = element("a");
    this.bar = badges.bar();
    this.percent = element("span.number");
    this.phase = element("span");
    this.dates = DATES.map(([key, name]) => ({ key, name, time: element("time") }));
    const fact = (name, ...value) => element("div.fact", {}, element("dt", {}, name), element("dd", {}, ...value));
    fill(
      one("execution-facts"),
      fact("task", this.task),
      fact("progress", this.bar.made, this.percent),
      fact("phase", this.phase),
      this.dates.map(({ name, time }) => fact(name, time)),
    );
  }

  /** Draw; what the board knows is newer than the answer that was asked for. */
  draw(seen, execution) {
    const task = seen?.task ?? execution?.task_id ?? null;
    mark(this.task, "href", task === null ? null : address({ task }));
    show(this.task, task, 120, ": show its executions");
    show(this.percent, this.bar.set(seen?.progress ?? execution?.progress ?? null) || null);
    show(this.phase, seen?.phase ?? execution?.phase ?? null, 120, "");
    for (const { key, time } of this.dates) {
      const at = Date.parse(execution?.[key] ?? "") / 1000;
      show(time, Number.isNaN(at) ? null : clock(at));
      mark(time, "title", Number.isNaN(at) ? null : moment(at));
    }
  }
}

// Without a text the whole fact is hidden.
function show(place, text, limit = 120, note = null) {
  say(place, text === null ? "" : plain(text, limit));
  if (note !== null) mark(place, "title", text === null ? null : `${plain(text, 2000)}${note}`);
  place.closest(".fact").hidden = text === null || text === "";
}
