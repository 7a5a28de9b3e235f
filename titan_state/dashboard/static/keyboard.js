// Keyboard: which key does what, on every view. What is typed into a field, or with Ctrl, Alt or Cmd, is left alone.

import { one } from "./elements.js";

/**
 * Listen.
 * @param {{view: function(): string, board: Object, go: function(string), back: function()}} page
 */
export function listen(page) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open]")) return;
    const field = event.target.closest?.("input, select, textarea");
    if (field) {
      if (event.key === "Escape") leave(field);
      else if (field.id === "search" && (event.key === "Enter" || event.key === "ArrowDown")) enter(page);
      else return;
      event.preventDefault();
      return;
    }
    if (press(event, page)) event.preventDefault();
  });
}

function leave(field) {
  if (field.id === "search" && field.value) {
    field.value = "";
    field.dispatchEvent(new Event("input"));
  } else one("grid").focus();
}

function enter(page) {
  one("grid").focus();
  page.board.grid.move(1);
}

function press(event, page) {
  const { key } = event;
  if (key === "?") return one("keys-dialog").showModal() ?? true;
  if (key === "/") {
    page.go("b");
    one("search").focus();
    one("search").select();
    return true;
  }
  if (key === "b" || key === "m") return page.go(key) ?? true;
  if (page.view() !== "board") return key === "Escape" && (page.back() ?? true);
  if (key === "a") return page.board.toggleFlawed() ?? true;
  const isFree = event.target === document.body || event.target === one("grid");
  const { grid } = page.board;
  const steps = { j: 1, k: -1 };
  if (isFree)
    Object.assign(steps, {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: grid.page(),
      PageUp: -grid.page(),
      Home: -1e9,
      End: 1e9,
    });
  if (Object.hasOwn(steps, key)) {
    one("grid").focus({ preventScroll: true });
    grid.move(steps[key]);
    return true;
  }
  if (key === "Enter" && isFree) {
    grid.enter();
    return true;
  }
  return false;
}
