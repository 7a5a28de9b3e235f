// Controls: pause, resume and stop of one execution. A button that may not be used says why; stop asks first.

import { element, fill, mark, one, say } from "./elements.js";
import { request } from "./session.js";
import { clock, plain } from "./wording.js";

const NAMES = { pause: "Pause", resume: "Resume", stop: "Stop" };
const SIGNS = { pause: "‖", resume: "▶\ufe0e", stop: "■" };
const DOING = { pause: "Pausing…", resume: "Resuming…", stop: "Stopping…" };

export class Controls {
  /** @param {function()} changed is called when an action was answered */
  constructor(changed) {
    this.changed = changed;
    this.id = null;
    this.sending = null;
    this.parts = new Map();
    this.verdicts = new Map();
    this.dialog = one("stop-dialog");
    for (const action of Object.keys(NAMES)) this.#make(action);
    one("stop-cancel").addEventListener("click", () => this.dialog.close());
    one("stop-confirm").addEventListener("click", () => {
      this.dialog.close();
      this.#send("stop", this.asked);
    });
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close(); // beside it
    });
  }

  /** Show what may be done with an execution. */
  show(id) {
    this.id = id;
    this.sending = null;
    this.verdicts.clear();
    this.dialog.close();
    this.#tell("");
  }

  /** Take what the server says may be done. */
  take(actions) {
    this.verdicts = new Map(actions.map((verdict) => [verdict.action, verdict]));
  }

  /**
   * Draw.
   * @param {?string} obstacle why nothing can be done at all, else null
   * @param {?number} asOf when the verdicts were true, if that is long ago
   */
  draw(obstacle, asOf = null) {
    const stop = this.verdicts.get("stop");
    const hindrance = obstacle ?? (stop && !stop.allowed ? stop.reason : null);
    if (this.dialog.open && hindrance !== null) {
      this.dialog.close();
      this.#tell(`Stop was not sent: ${hindrance}`, "error");
    }
    for (const [action, { button, label, reason }] of this.parts) {
      const verdict = this.verdicts.get(action);
      const isSending = this.sending === action;
      const why =
        obstacle ?? (verdict ? (verdict.allowed ? null : verdict.reason) : "it is not known yet whether it is allowed");
      const isBlocked = why !== null || this.sending !== null;
      mark(button, "aria-disabled", isBlocked ? "true" : null);
      mark(button, "aria-busy", isSending ? "true" : null);
      say(label, isSending ? DOING[action] : NAMES[action]);
      const leads = why === null && verdict.leads_to ? `leads to ${plain(verdict.leads_to)}` : "";
      say(
        reason,
        isSending
          ? "the request is on its way"
          : (why !== null ? plain(why) : leads) +
              (asOf !== null && obstacle === null ? ` (as it was at ${clock(asOf)})` : ""),
      );
      reason.classList.toggle("why", why !== null);
    }
  }

  #make(action) {
    const label = element("span", {}, NAMES[action]);
    const reason = element("span.reason", { id: `reason-${action}` });
    const click = () => this.#click(action);
    const button = element(
      "button.control",
      {
        type: "button",
        id: `control-${action}`,
        "aria-disabled": "true",
        "aria-describedby": reason.id,
        data: { action },
        onclick: click,
      },
      element("span.glyph", { "aria-hidden": "true" }, SIGNS[action]),
      label,
    );
    this.parts.set(action, { button, label, reason });
    one("controls").append(element("div.act", {}, button, reason));
  }

  #click(action) {
    if (this.parts.get(action).button.getAttribute("aria-disabled") === "true") return;
    if (action !== "stop") {
      this.#send(action, this.id);
      return;
    }
    this.asked = this.id;
    say(one("stop-id"), plain(this.id, 400));
    this.dialog.showModal();
    one("stop-cancel").focus();
  }

  async #send(action, id) {
    this.sending = action;
    this.#tell("");
    this.draw(null);
    try {
      const { text } = await request("/api/act", { id, action });
      if (id === this.id) this.#tell(text, "good");
    } catch (error) {
      if (id === this.id) this.#tell(`${NAMES[action]} did not work: ${error.message}`, "error");
    } finally {
      if (id === this.id) {
        this.sending = null;
        this.changed();
      }
    }
  }

  #tell(text, level = "info") {
    const place = one("outcome");
    place.dataset.level = level;
    fill(
      place,
      text ? element("span", { "aria-hidden": "true" }, level === "good" ? "✓ " : "✗ ") : null,
      plain(text, 1000),
    );
  }
}
