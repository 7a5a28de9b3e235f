// Notices: the banner that says why what is shown is not true now, and the quiet announcements for screen readers.

import { element, fill, one } from "./elements.js";
import { plain } from "./wording.js";

let drawn = "";

/** Show the banner of a standing, or take it away. */
export function showBanner(banner) {
  const told = banner ? JSON.stringify(banner) : "";
  if (told === drawn) return;
  drawn = told;
  const place = one("banner");
  place.hidden = !banner;
  if (!banner) {
    fill(place);
    return;
  }
  place.dataset.level = banner.level;
  fill(
    place,
    element("span.sign", { "aria-hidden": "true" }, banner.level === "warning" ? "◐" : "✕"),
    element(
      "span.told",
      {},
      element("strong", {}, banner.title),
      element("span", {}, ` ${plain(banner.text, 1000)} `),
      element("span.check", {}, "Check first: ", element("b", {}, plain(banner.check, 300)), "."),
    ),
  );
}

/** Say something to those who cannot see it change. */
export function announce(text) {
  const place = one("announcement");
  place.textContent = "";
  setTimeout(() => (place.textContent = plain(text)), 60); // an equal text would not be said again
}
