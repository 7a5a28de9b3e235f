// Header: what is watched, whether the connection stands, and what requests are left. It draws what it is given.

import { element, fill, one, say } from "./elements.js";
import { announce, spoken } from "./notices.js";
import { clock, count, counted, delay, plain } from "./wording.js";

export class Header {
  constructor(store) {
    this.store = store;
    this.told = null;
    this.kind = null;
  }

  /** Draw. */
  draw(standing) {
    const place = one("connection");
    place.dataset.kind = standing.kind;
    say(place.firstElementChild, standing.sign);
    say(place.lastElementChild, standing.word);
    if (this.kind !== null && this.kind !== standing.kind)
      announce(standing.banner ? spoken(standing.banner) : `The connection is ${standing.word}`);
    this.kind = standing.kind;
    say(one("frozen"), standing.frozenAt === null ? "" : `as it was at ${clock(standing.frozenAt)}`);
    this.#watched();
    this.#budget(standing);
  }

  #watched() {
    const { hello, state } = this.store;
    const watches = state?.watches ?? hello?.watches; // it may grow while the page is open
    if (hello === null || (hello === this.told && watches === this.watches)) return;
    this.told = hello;
    this.watches = watches;
    const part = (label, value, whole = value) =>
      value
        ? element(
            "span.part",
            {},
            element("span.label", {}, `${label} `),
            element("span.value", { title: plain(whole, 1000) }, plain(value, 120)),
          )
        : null;
    fill(
      one("watched"),
      part("Watching", watches),
      part("of", hello.origin),
      part("account", hello.account),
      part("journal", hello.journal?.split("/").pop(), hello.journal),
    );
  }

  #budget(standing) {
    const { state, hello } = this.store;
    const isKnown = state !== null && ["live", "dark", "blind"].includes(standing.kind);
    const hasLimit = isKnown && state.limit !== null && state.left !== null;
    one("budget").hidden = !isKnown || (state.limit === null && hello?.mode === "journal" && state.requests === null);
    one("meter").hidden = !hasLimit;
    if (isKnown) {
      const left = hasLimit ? `${count(state.left)} of ${count(state.limit)}` : "";
      say(one("left"), hasLimit ? `${left} requests left` : "no request limit");
      if (hasLimit) {
        const share = state.limit ? Math.max(0, Math.min(1, state.left / state.limit)) : 0;
        one("meter").firstElementChild.style.transform = `scaleX(${share})`;
      }
    }
    const spent = isKnown && state.spent !== null ? `${count(state.spent)} spent in the last minute` : "";
    const throttled = isKnown && state.throttled ? `, ${count(state.throttled)} refused as too many` : "";
    say(one("spent"), spent + throttled);
    one("spent").title = isKnown ? plan(state) : "";
    const noticed = isKnown && standing.kind === "live" && state.delay_s !== null ? `~${delay(state.delay_s)}` : "";
    say(one("delay"), noticed ? `a change is noticed after ${noticed} on average` : "");
  }
}

function plan(state) {
  const parts = [];
  if (state.per_minute !== null) parts.push(`the plan reads ${count(state.per_minute)} times a minute`);
  if (state.pages !== null) parts.push(counted(state.pages, "list page"));
  if (state.singles !== null) parts.push(counted(state.singles, "single execution"));
  if (state.requests !== null) parts.push(`${counted(state.requests, "request")} since the start`);
  return parts.join(", ");
}
