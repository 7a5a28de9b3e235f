// Outputs: what is known of the results of one execution, looking for them, and having them as a file.

import { element, fill, one } from "./elements.js";
import { request } from "./session.js";
import { clock, count, lines, plain } from "./wording.js";

const STATES = { none: "none", awaited: "awaited", overdue: "overdue", ready: "ready", unknown: "not known" };
const SIGNS = { none: "–", awaited: "◌", overdue: "⚠\ufe0e", ready: "✓", unknown: "?" };

export class Outputs {
  constructor() {
    this.id = null;
    this.busy = "";
  }

  show(id) {
    this.id = id;
    this.drawn = null;
    this.busy = "";
    this.error = "";
    this.outputs = null;
    fill(one("outputs"));
  }

  /** Take what the server says of them; what was looked for just now is not forgotten for an answer that knows less. */
  take(outputs) {
    if (this.outputs?.state === "ready" && outputs.state === "unknown") return;
    this.outputs = outputs;
  }

  draw(isCut) {
    const { outputs } = this;
    if (!outputs) return;
    const told = JSON.stringify([outputs, this.busy, this.error, isCut]);
    if (told === this.drawn) return;
    this.drawn = told;
    const focused = one("outputs").contains(document.activeElement) ? document.activeElement.dataset.does : null;
    const button = (does, name, busyName, work) =>
      element(
        "button",
        {
          type: "button",
          data: { does },
          "aria-disabled": isCut || this.busy ? "true" : null,
          onclick: () => !isCut && !this.busy && work(does),
        },
        this.busy === does ? busyName : name,
      );
    const buttons = [];
    if (outputs.can_load) buttons.push(button("look", "Look for results now", "Looking…", () => this.#look()));
    if (outputs.state === "ready" && outputs.can_save !== false) {
      buttons.push(button("json", "Download JSON", "Preparing…", (form) => this.#download(form)));
      buttons.push(button("csv", "Download CSV", "Preparing…", (form) => this.#download(form)));
    }
    fill(
      one("outputs"),
      element(
        "p.state",
        { data: { state: outputs.state } },
        element("span.sign", { "aria-hidden": "true" }, SIGNS[outputs.state] ?? "?"),
        element("strong", {}, STATES[outputs.state] ?? plain(outputs.state)),
      ),
      element(
        "p",
        {},
        plain(outputs.text, 1000),
        outputs.at === null ? null : element("span.muted", {}, ` Seen at ${clock(outputs.at)}.`),
      ),
      entries(outputs.metadata),
      buttons.length ? element("div.buttons", {}, buttons) : null,
      element("p.failure", { role: "status" }, this.error ? `✗ ${plain(this.error, 1000)}` : ""),
    );
    if (focused) one("outputs").querySelector(`[data-does="${focused}"]`)?.focus();
  }

  #look() {
    return this.#work("look", async (id) => {
      const outputs = await request("/api/results", { id });
      if (id === this.id) this.outputs = outputs;
    });
  }

  #download(form) {
    return this.#work(form, async (id) => {
      const { url } = await request("/api/download", { id, format: form });
      if (!/^\/download\//.test(url)) throw new Error("the link leads elsewhere");
      element("a", { href: url, download: "" }).click();
    });
  }

  async #work(name, does) {
    const { id } = this;
    this.busy = name;
    this.error = "";
    this.draw(false);
    try {
      await does(id);
    } catch (error) {
      if (id === this.id) this.error = error.message;
    } finally {
      if (id === this.id) {
        this.busy = "";
        this.draw(false);
      }
    }
  }
}

/** Return names and values of the service as a definition list. */
export function entries(values) {
  const all = Object.entries(values ?? {});
  if (!all.length) return null;
  return element(
    "dl.entries",
    {},
    all
      .slice(0, 60)
      .map(([name, value]) => [
        element("dt", { title: plain(name, 1000) }, plain(name, 60)),
        element("dd", {}, lines(typeof value === "string" ? value : JSON.stringify(value), 600)),
      ]),
    all.length > 60 ? [element("dt", {}, "…"), element("dd", {}, `${count(all.length - 60)} more`)] : null,
  );
}
