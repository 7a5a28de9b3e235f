// Record: what is written down of one execution, below its timeline: durations, legend, anomalies, events.
// It draws what it is given, and draws again only what has changed.

import * as badges from "./badges.js";
import { element, fill, one, say } from "./elements.js";
import { clock, count, counted, duration, moment, plain } from "./wording.js";

export class Record {
  constructor(store) {
    this.store = store;
    this.details = null;
  }

  /** Forget everything. */
  clear() {
    this.details = null;
    this.drawn = null;
    for (const name of ["durations", "flags", "history", "legend", "flags-number", "history-number"]) fill(one(name));
  }

  /** Take what the server says, at a time by its clock. */
  take(details, askedAt) {
    this.details = details;
    this.askedAt = askedAt;
  }

  draw(now) {
    this.#drawDurations(now);
    if (!this.details || this.drawn?.details === this.details) return;
    const { anomalies, events, earlier } = this.details;
    const [flags, history] = [JSON.stringify(anomalies), JSON.stringify([events, earlier])];
    const { hello } = this.store; // it says the signs and how grave what is
    const isOther = this.drawn?.hello !== hello;
    if (isOther || this.drawn?.flags !== flags) this.#drawFlags(); // what is selected in it stays so if nothing is new
    if (isOther || this.drawn?.history !== history) this.#drawHistory();
    this.drawn = { details: this.details, flags, history, hello };
  }

  #drawDurations(now) {
    const place = one("durations");
    const durations = this.details?.durations ?? [];
    one("durations-panel").hidden = !durations.length;
    if (!this.details) return;
    const lasting = durations.map(({ seconds, is_open }) => seconds + (is_open ? Math.max(0, now - this.askedAt) : 0));
    const whole = lasting.reduce((sum, seconds) => sum + seconds, 0) || 1;
    if (this.durationsOf !== durations || !place.childElementCount) {
      this.durationsOf = durations;
      fill(
        place,
        durations.map(({ status, times, is_exact, is_open }) =>
          element(
            "tr",
            { data: { status } },
            element("th", { scope: "row" }, badges.status(this.store, status)),
            element(
              "td.time",
              {},
              element(
                "span.exactness",
                { title: "it may be more or less: it changed between two looks" },
                is_exact ? "" : "≈ ",
              ),
              element("span.lasting"),
            ),
            element(
              "td.share",
              {},
              element("span.bar", { "aria-hidden": "true", data: { tone: badges.tone(status) } }, element("i")),
              element("span.percent"),
            ),
            element("td.times", {}, is_open ? "until now" : times > 1 ? `${count(times)} times` : "once"),
          ),
        ),
      );
      this.#drawLegend(durations);
    }
    for (const [at, row] of [...place.rows].entries()) {
      const share = lasting[at] / whole;
      say(row.querySelector(".lasting"), lasting[at] < 10 ? `${lasting[at].toFixed(1)}s` : duration(lasting[at]));
      row.querySelector("i").style.transform = `scaleX(${share})`;
      say(row.querySelector(".percent"), `${Math.round(share * 100)}%`);
    }
  }

  #drawLegend(durations) {
    const { events, anomalies } = this.details;
    const entry = (kind, name) => element("li", {}, element(`span.swatch.${kind}`, { "aria-hidden": "true" }), name);
    fill(
      one("legend"),
      [...new Set(durations.map(({ status }) => status))].map((status) =>
        element("li", {}, badges.status(this.store, status)),
      ),
      events.some((event) => event.inferred) ? entry("inferred", "inferred, not seen itself") : null,
      durations.some((one) => !one.is_exact) ? entry("doubt", "changed within this time") : null,
      events.some((event) => event.forced) ? entry("forced", "not a legal move") : null,
      events.some((event) => event.type.startsWith("action")) ? entry("action", "our action") : null,
      events.some((event) => event.type === "results_ready") ? entry("results", "results ready") : null,
      anomalies.length ? entry("flag", "anomaly") : null,
    );
  }

  #drawFlags() {
    const { anomalies } = this.details;
    const ordered = [...anomalies].sort(
      (one, other) => (one.until !== null) - (other.until !== null) || other.at - one.at,
    );
    const open = anomalies.filter(({ until }) => until === null).length;
    say(one("flags-number"), anomalies.length ? `${open} open, ${anomalies.length - open} over` : "");
    fill(
      one("flags"),
      ordered.map((flag) =>
        element(
          "li",
          { data: { kind: flag.kind, open: String(flag.until === null) } },
          element(
            "div.line",
            {},
            badges.anomaly(this.store, flag.kind),
            element(
              "span.when",
              { title: moment(flag.at) },
              span(flag),
            ),
          ),
          element("p", {}, plain(flag.message, 1000)),
          flag.until === null
            ? element("p.check", {}, "Check first: ", element("b", {}, plain(flag.check_first)))
            : null,
        ),
      ),
      ordered.length ? null : element("li.empty", {}, "None so far."),
    );
  }

  #drawHistory() {
    const { events, earlier } = this.details;
    say(one("history-number"), counted(events.length, "event"));
    fill(
      one("history"),
      [...events]
        .reverse()
        .map((event) =>
          element(
            "li",
            { data: { level: event.level, event: event.id, ...marks(event) } },
            element("time", { title: moment(event.at) }, clock(event.at)),
            badges.level(this.store, event),
            element("span.text", {}, plain(event.text, 1000)),
            element("span.seq", {}, `#${event.seq}`),
          ),
        ),
      earlier > 0 ? element("li.empty", {}, `${counted(earlier, "earlier event")} not shown.`) : null,
      events.length ? null : element("li.empty", {}, "Nothing is written down yet."),
    );
  }
}

function span({ at, until }) {
  if (until === null) return `since ${clock(at)}`;
  return until === at ? `at ${clock(at)}` : `${clock(at)} to ${clock(until)}: over`;
}

// The sentence says so already; these only say how it looks.
function marks(event) {
  return {
    ...(event.inferred ? { inferred: "" } : {}),
    ...(event.forced ? { forced: "" } : {}),
    ...(event.cause === "action" ? { ours: "" } : {}),
  };
}
