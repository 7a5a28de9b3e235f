// Notices: the banner that says why what is shown is not true now, and the quiet announcements for screen readers.

import { element, fill, mark, one, say } from "./elements.js";
import { plain } from "./wording.js";

let parts = null;

/** Show the banner of a standing, or take it away. It is no live region: its seconds would be told again and again. */
export function showBanner(banner) {
  const place = one("banner");
  mark(place, "hidden", banner ? null : "");
  if (!banner) return;
  parts ??= made(place);
  place.dataset.level = banner.level;
  say(parts.sign, banner.level === "warning" ? "◐" : "✕");
  say(parts.title, `${banner.title}.`);
  say(parts.text, ` ${plain(banner.text, 1000)} `);
  parts.check.hidden = !banner.check;
  say(parts.place, plain(banner.check ?? "", 300));
}

function made(place) {
  const [title, text, named] = [element("strong"), element("span"), element("b")];
  const sign = element("span.sign", { "aria-hidden": "true" });
  const check = element("span.check", {}, "Check first: ", named, ".");
  fill(place, sign, element("span.told", {}, title, text, check));
  return { sign, title, text, check, place: named };
}

/** Return a banner as it is said once, when it comes. */
export function spoken({ title, text, check }) {
  return [`${title}.`, text, check ? `Check first: ${check}.` : ""].filter(Boolean).join(" ");
}

/** Say something to those who cannot see it change. */
export function announce(text) {
  const place = one("announcement");
  place.textContent = "";
  setTimeout(() => (place.textContent = plain(text, 1500)), 60); // an equal text would not be said again
}
