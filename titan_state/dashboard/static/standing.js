// Standing: whether what is shown is true now, and if not, since when and what to check first. Pure: it draws nothing.

import { clock, duration } from "./wording.js";

const PATIENCE_S = 6; // a restart takes less: until then it is "reconnecting"
const SILENT_S = 10; // `state` comes every 2 s at least; pings say only that the connection stands
const DARK_S = 10; // as titan_state/client/silence.py: a request gets an answer or fails sooner

/**
 * @param {{link: "opening"|"open"|"lost"|"resting"|"refused", lostAt: ?number, heardAt: ?number}} link
 *   times are the server's
 * @returns {{kind: string, sign: string, word: string, frozenAt: ?number, banner: ?{level, title, text, check}}}
 *   frozenAt: everything shown is as it was then; null if it is true now
 */
export function standing(store, link, now) {
  if (link.link === "refused") return refused(link);
  if (link.link === "lost") return lost(store, link, now);
  if (link.link === "resting") return resting(link);
  if (link.link === "opening" || store.state === null || store.hello === null) {
    return { kind: "connecting", sign: "◌", word: "connecting", frozenAt: link.heardAt, banner: null };
  }
  if (link.heardAt !== null && now - link.heardAt > SILENT_S) return silent(link);
  return told(store.state, store.hello);
}

function refused(link) {
  return {
    kind: "refused",
    sign: "✕",
    word: "not connected",
    frozenAt: link.heardAt,
    banner: {
      level: "error",
      title: "This page has no access",
      text:
        "It must be opened by the link that titan-state dashboard printed at its start; earlier links may be void." +
        (link.heardAt === null ? "" : ` What is shown is as it was at ${clock(link.heardAt)}.`),
      check: "the terminal in which titan-state dashboard runs: open the link printed there",
    },
  };
}

function resting(link) {
  const asOf = link.heardAt === null ? "" : ` What is shown is as it was at ${clock(link.heardAt)}.`;
  return {
    kind: "resting",
    sign: "‖",
    word: "resting",
    frozenAt: link.heardAt,
    banner: {
      level: "warning",
      title: "This tab rests",
      text: `It goes on when it is looked at: a browser connects only a few tabs at a time.${asOf}`,
      check: null,
    },
  };
}

function silent(link) {
  return {
    kind: "silent",
    sign: "◌",
    word: "no news",
    frozenAt: link.heardAt,
    banner: {
      level: "error",
      title: `The dashboard tells nothing since ${clock(link.heardAt)}`,
      text: "The connection stands, but nothing new comes. What is shown is as it was then.",
      check: "the terminal in which titan-state dashboard runs, and the load of this machine",
    },
  };
}

function lost(store, link, now) {
  const isShort = link.lostAt !== null && now - link.lostAt < PATIENCE_S;
  const nothing =
    store.rows.size === 0
      ? "Nothing was received yet."
      : `What is shown is as it was at ${clock(link.heardAt ?? now)}.`;
  return {
    kind: isShort ? "reconnecting" : "disconnected",
    sign: isShort ? "◌" : "✕",
    word: isShort ? "reconnecting" : "not connected",
    frozenAt: link.heardAt ?? now,
    banner: {
      level: "error",
      title: `Not connected since ${clock(link.heardAt ?? link.lostAt ?? now)}`,
      text: `${nothing} It is tried again every few seconds.`,
      check: "whether titan-state dashboard is still running on this machine",
    },
  };
}

function told(state, hello) {
  const seen = state.seen;
  const asOf = seen === null ? "Nothing was seen yet." : `What is shown is as it was at ${clock(seen)}.`;
  if (state.blind) {
    return {
      kind: "blind",
      sign: "◉",
      word: "blind",
      frozenAt: seen ?? state.blind.since,
      banner: {
        level: "critical",
        title: `The monitor is blind since ${clock(state.blind.since)}`,
        text: `${sentence(state.blind.message)} ${asOf}`,
        check: state.blind.check_first,
      },
    };
  }
  if (!state.is_live) {
    return {
      kind: "unwatched",
      sign: "○",
      word: "no monitor",
      frozenAt: seen ?? state.now,
      banner: {
        level: "error",
        title: "No monitor is reading",
        text: `${sentence(state.why ?? "")} ${asOf}`.trim(),
        check:
          hello.mode === "journal"
            ? "whether the monitor that writes this journal is still running"
            : "the terminal in which titan-state dashboard runs",
      },
    };
  }
  if (state.dark_s >= DARK_S) {
    return {
      kind: "dark",
      sign: "◐",
      word: `no answer for ${duration(state.dark_s)}`,
      frozenAt: seen ?? state.now - state.dark_s,
      banner: {
        level: "warning",
        title: `The service has not answered for ${duration(state.dark_s)}`,
        text: asOf,
        check: "connectivity, credentials, rate limits",
      },
    };
  }
  return { kind: "live", sign: "●", word: "live", frozenAt: null, banner: null };
}

function sentence(text) {
  if (!text) return "";
  const begun = text[0].toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
