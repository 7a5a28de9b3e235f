// Main: begins everything, follows the stream, chooses the view by the address, and draws at most once in a frame.
//
// What tests and other programs may hold on to:
//   #connection[data-kind=connecting|live|dark|reconnecting|disconnected|resting|silent|refused|unwatched|blind]
//   #banner   #frozen
//   #watched   #budget   #meter   #left   #spent   #delay   input[name=theme]   #announcement
//   #board   #chips button[data-status]   #others   #flawed   #search   #task   #group   #count   #clear   #nothing
//   #grid [role=row][data-id][data-status]   .badge[data-kind]   [role=row][data-group]
//   #feed   #feed-list li[data-event][data-level]
//   #execution   #execution-title   #execution-status[data-status]   #execution-error   #problem   #unknown   #copy
//   buttons "Pause", "Resume", "Stop" (#control-pause …)   #reason-pause …   #outcome
//   #stop-dialog   #stop-cancel   #stop-confirm   #keys-dialog
//   #timeline svg   #legend   #durations tr[data-status]   #flags li[data-kind][data-open]   #history li
//   #outputs button[data-does=look|json|csv]
//   #model   #diagram [data-status] [data-count]   #inside / #outside a[data-status]
//   body[data-view=board|execution|model]   html.frozen: what is shown is not true now

import { Board } from "./board.js";
import { one } from "./elements.js";
import { Execution } from "./execution.js";
import { Header } from "./header.js";
import { listen } from "./keyboard.js";
import { Model } from "./model.js";
import { showBanner } from "./notices.js";
import { heldToken, keepToken, refuse, takeToken } from "./session.js";
import { standing } from "./standing.js";
import { Store } from "./store.js";
import { Stream } from "./stream.js";
import { Tabs } from "./tabs.js";
import { decoded, shortId } from "./wording.js";

const ANSWER_MS = 300; // by then another tab has answered
const SWITCH_MS = 2000; // the other tab may be looked at before this one knows that it is hidden
const LOST = new Set(["reconnecting", "disconnected", "silent", "refused"]);
const NAMES = { board: "Board", execution: "Execution", model: "Model" };

takeToken();
const store = new Store();
const link = { link: "opening", lostAt: null, heardAt: null };
const header = new Header(store);
const views = { board: new Board(store, later), execution: new Execution(store, later), model: new Model(store) };
let view = null;
let run = null;
let isFirst = true; // the next events are the first of a connection
let frame = null;
let lookedAt = -Infinity; // when another tab was looked at, by performance.now()

function later() {
  frame ??= requestAnimationFrame(draw);
}

function draw() {
  cancelAnimationFrame(frame);
  frame = null;
  const now = store.now();
  const stands = standing(store, link, now);
  document.documentElement.classList.toggle("frozen", stands.frozenAt !== null && store.hello !== null);
  header.draw(stands);
  showBanner(stands.banner);
  if (store.hello || link.link !== "opening") views[view].draw(Math.min(stands.frozenAt ?? now, now), stands);
  entitle();
}

function entitle() {
  const open = store.open + (store.state?.blind ? 1 : 0);
  const { kind } = standing(store, link, store.now());
  const sign = LOST.has(kind) ? "✕ " : kind === "resting" ? "‖ " : "";
  const name = view === "execution" ? shortId(views.execution.id ?? "") : NAMES[view];
  const title = `${sign}${open ? `(${open}) ` : ""}${name} · titan-state`;
  if (document.title !== title) document.title = title;
}

function route() {
  if (takeToken()) follow();
  const [path, argument = ""] = location.hash.replace(/^#/, "").split(/\?(.*)/s);
  const found = /^\/execution\/(.+)$/s.exec(path);
  const next = found ? "execution" : path === "/model" ? "model" : "board";
  const isOther = next !== view;
  if (view !== null) views[view].hide();
  const wasFirst = view === null;
  view = next;
  document.body.dataset.view = view;
  for (const name of Object.keys(views)) one(name).hidden = name !== view;
  for (const item of document.querySelectorAll("nav a")) {
    if (item.dataset.view === view) item.setAttribute("aria-current", "page");
    else item.removeAttribute("aria-current");
  }
  views[view].show(found ? decoded(found[1]) : argument);
  for (const place of [one("nav-board"), one("back")]) place.href = views.board.address();
  if (isOther && !wasFirst) (view === "board" ? one("grid") : one(`${view}-title`)).focus({ preventScroll: true });
  if (isOther && view !== "board") scrollTo(0, 0);
  later();
}

/** Connect, or wait until the tab is looked at. */
function follow() {
  if (link.link !== "lost") link.link = document.hidden ? "resting" : "opening";
  if (!document.hidden) {
    tabs.look();
    stream.connect();
  }
  entitle();
  later();
}

function refused() {
  refuse();
  link.link = "refused";
  tabs.ask();
  entitle();
  later();
}

function begin() {
  if (heldToken() !== null) {
    follow();
    return;
  }
  tabs.ask();
  setTimeout(() => heldToken() === null && refused(), ANSWER_MS);
}

const takes = {
  hello(hello) {
    store.takeHello(hello);
    isFirst = true;
    if (run !== null && run !== hello.run) views.model.reload();
    run = hello.run;
  },
  rows: (told) => store.takeRows(told),
  events(told) {
    store.takeEvents(told, isFirst);
    isFirst = false;
    if (view === "execution") views.execution.news(told.items, told.skipped ?? []);
  },
  state(state) {
    store.takeState(state);
    const isBack = link.heardAt !== null;
    link.heardAt = store.now();
    if (link.link === "open") return;
    Object.assign(link, { link: "open", lostAt: null });
    if (view === "execution" && (isBack || views.execution.problem)) views.execution.reload();
    if (view === "model") views.model.show();
  },
};

const stream = new Stream("/api/stream", {
  message(type, told) {
    takes[type]?.(told);
    entitle(); // also where the page is hidden, and no frame is drawn
    later();
  },
  lost() {
    if (link.link !== "lost") Object.assign(link, { link: "lost", lostAt: store.now() });
    entitle();
    later();
  },
  refused,
});

function rest() {
  if (link.link === "refused" || link.link === "resting") return;
  stream.rest();
  link.link = "resting";
  entitle();
  later();
}

const tabs = new Tabs({
  looked() {
    lookedAt = performance.now();
    if (link.link === "refused") tabs.ask();
    else if (document.hidden) rest();
  },
  wanted: () => (link.link === "refused" ? null : heldToken()),
  given(token) {
    if ((heldToken() !== null && link.link !== "refused") || token === heldToken()) return;
    keepToken(token);
    follow();
  },
});
document.addEventListener("visibilitychange", () => {
  if (heldToken() === null || link.link === "refused") return;
  if (!document.hidden) {
    if (link.link === "resting") follow();
    else tabs.look();
  } else if (performance.now() - lookedAt < SWITCH_MS) rest();
});

listen({
  view: () => view,
  board: views.board,
  go(key) {
    if (key === "b" && view !== "board") location.hash = views.board.address();
    if (key === "m") location.hash = "#/model";
  },
  back() {
    location.hash = views.board.address(); // what was before in the history may be another site
  },
});
for (const opener of document.querySelectorAll("[data-opens]")) {
  opener.addEventListener("click", () => one(opener.dataset.opens).showModal());
}
one("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the fragment is the view's
  (view === "board" ? one("grid") : one("main-content")).focus();
});
addEventListener("hashchange", route);
setInterval(() => {
  later();
  entitle();
}, 1000);
route();
begin();
