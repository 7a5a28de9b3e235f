// Wording: ages, times, numbers and foreign text as people read them; durations as in titan_state/wording.py.

const LONGEST = 300;
const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;

/** Return a duration in at most five characters: 42s, 5m07, 3h20, 12d. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < MINUTE) return `${whole}s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)}m${two(whole % MINUTE)}`;
  if (whole < DAY) return `${Math.floor(whole / HOUR)}h${two(Math.floor((whole % HOUR) / MINUTE))}`;
  return `${Math.floor(whole / DAY)}d`;
}

/** Return how long ago something was: now, 5s ago. */
export function ago(seconds) {
  return seconds < 1 ? "now" : `${duration(seconds)} ago`;
}

/** Return a short delay: 0.3 s, 1.2 s, 48 s, 5m07. */
export function delay(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  return seconds < 100 ? `${Math.round(seconds)} s` : duration(seconds);
}

/** Return the time of day of a date in seconds; with the day, if it is another one than today. */
export function clock(seconds) {
  const at = new Date(seconds * 1000);
  if (Number.isNaN(at.getTime())) return "?";
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return at.toDateString() === new Date().toDateString() ? time : `${day(at)} ${time}`;
}

/** Return a date in seconds in full, for titles. */
export function moment(seconds) {
  const at = new Date(seconds * 1000);
  if (Number.isNaN(at.getTime())) return "?";
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
  return `${day(at)} ${time}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

function day(at) {
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

function two(number) {
  return String(number).padStart(2, "0");
}

/** Return a whole number with thousands apart: 10,000. */
export function count(number) {
  return String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Return "1 execution", "3 executions". */
export function counted(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** Return progress as text, and as a share from 0 to 1 if it can be taken for percent. */
export function progress(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return { text: "", share: null };
  if (value >= 0 && value <= 100) return { text: `${value.toFixed(0)}%`, share: value / 100 };
  return { text: String(Number(value.toPrecision(6))), share: null };
}

// Signs that reorder text, or hide.
const DECEIVING = /[\u0080-\u009f\u200e\u200f\u061c\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g;
const CONTROL = /[\u0000-\u001f\u007f]/g;

/** Return foreign text fit for one line: control characters made visible, cut at `limit`. */
export function plain(text, limit = LONGEST) {
  const whole = String(text);
  const cut = whole.length > limit ? `${whole.slice(0, limit)}…` : whole;
  return cut.replace(CONTROL, picture).replace(DECEIVING, "\ufffd");
}

/** Return foreign text of several lines: like `plain`, but line breaks and tabs remain. */
export function lines(text, limit = 20000) {
  const whole = String(text).replace(/\r\n?/g, "\n");
  const cut =
    whole.length > limit ? `${whole.slice(0, limit)}… (${count(whole.length - limit)} more characters)` : whole;
  return cut
    .replace(CONTROL, (sign) => (sign === "\n" || sign === "\t" ? sign : picture(sign)))
    .replace(DECEIVING, "\ufffd");
}

function picture(sign) {
  return sign === "\u007f" ? "\u2421" : String.fromCharCode(0x2400 + sign.charCodeAt(0));
}

/** Return an id for a place with little room: the first 8 digits of a UUID, else beginning and end. */
export function shortId(id, width = 16) {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)) return id.slice(0, 8);
  if (id.length <= width) return plain(id);
  const end = width >> 1;
  return `${plain(id.slice(0, width - end - 1))}…${plain(id.slice(-end))}`;
}

/** Return a sign that phones would otherwise draw as an emoji, as text. */
export function sign(glyph) {
  return glyph === "▶" || glyph === "⚠" ? `${glyph}\ufe0e` : glyph;
}

/** Return a part of an address without its percent signs; what is not written so is returned as it is. */
export function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
