// Badges: how a status, an anomaly, a progress and an id look, wherever they are shown: by signs and words, never by
// colour alone.

import { element } from "./elements.js";
import { plain, progress, sign } from "./wording.js";

const LEVELS = { info: "•", good: "✓", warning: "⚠", error: "✗", critical: "‼" };
const COLOURED = new Set([
  "queued",
  "running",
  "paused",
  "completed",
  "completed_with_errors",
  "failed",
  "cancelled",
  "vanished",
]);

/** Return the name of a status's colour, for data-tone: the stylesheet has a rule for each. */
export function tone(status) {
  return COLOURED.has(status) ? status : "other";
}

/** Make a status that can be another one later, and return what sets it: rows are used again while scrolling. */
export function statusSlot(store, isShort = false) {
  const glyph = element("span.glyph", { "aria-hidden": "true" });
  const word = element("span.word");
  const made = element("span.status", {}, glyph, word);
  return {
    made,
    set(name) {
      glyph.dataset.tone = tone(name);
      glyph.textContent = sign(store.glyph(name));
      // as on the terminal's board
      word.textContent = isShort && name === "completed_with_errors" ? "with errors" : plain(name, 60);
      word.title = plain(name);
    },
  };
}

/** Return a status: sign and name. */
export function status(store, name) {
  const { made, set } = statusSlot(store);
  set(name);
  return made;
}

/** Return an anomaly: sign and name, framed for a warning, filled for what is graver. */
export function anomaly(store, kind) {
  const severity = store.severity(kind);
  return element(
    `span.badge.${["error", "critical"].includes(severity) ? severity : "warning"}`,
    { data: { kind }, title: `${plain(kind)} (${severity})` },
    element("span", { "aria-hidden": "true" }, `${sign(severity === "critical" ? "‼" : "⚠")} `),
    plain(kind, 40),
    element("span.unseen", {}, `, ${severity}`),
  );
}

/** Return the sign of how good or bad a piece of news is; a status's own sign where it tells of one. */
export function level(store, event) {
  const isPlain = event.status && (event.level === "info" || event.level === "good");
  const data = isPlain ? { tone: tone(event.status) } : { level: event.level };
  const shown = isPlain ? store.glyph(event.status) : (LEVELS[event.level] ?? "•");
  const named =
    event.level === "info" || event.level === "good" ? null : element("span.unseen", {}, `${event.level}: `);
  return element("span.level", { data }, element("span", { "aria-hidden": "true" }, sign(shown)), named);
}

/** Return an id as two parts, of which the first gives way where there is no room: "3f2a91c0-…e41b77". */
export function ident(id) {
  const [head, tail] = parts(id);
  return [element("span.head", {}, head), element("span.tail", {}, tail)];
}

/** Return the texts of those two parts; what is written from right to left, or in long signs, is not cut. */
export function parts(id) {
  const shown = plain(id);
  const end = /^[ -~]*$/.test(shown) ? Math.max(0, shown.length - 6) : shown.length;
  return [shown.slice(0, end), shown.slice(end)];
}

/** Make a bar, and return what sets it. */
export function bar() {
  const fill = element("i");
  const made = element("span.bar", { "aria-hidden": "true" }, fill);
  return {
    made,
    set(value) {
      const { text, share } = progress(value);
      made.hidden = share === null;
      fill.style.transform = `scaleX(${share ?? 0})`;
      return text;
    },
  };
}
