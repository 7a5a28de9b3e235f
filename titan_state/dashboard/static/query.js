// Query: which rows are asked for, and how they are grouped; kept in the address, so that Back and a bookmark keep it.
// Nothing here draws.

export const GROUPS = ["", "status", "task"];
export const NO_TASK = Symbol("no task"); // a task may be any text: this is none

/** Read a query from the part of the address after the question mark. */
export function parse(text) {
  const given = new URLSearchParams(text);
  const group = given.get("group") ?? "";
  return {
    statuses: new Set(given.getAll("status")),
    flawed: given.has("anomalies"),
    text: given.get("q") ?? "",
    task: given.has("untasked") ? NO_TASK : given.get("task"),
    group: GROUPS.includes(group) ? group : "",
  };
}

/** Write a query as the address of the board. */
export function address({ statuses = [], flawed = false, text = "", task = null, group = "" }) {
  const given = new URLSearchParams();
  for (const status of statuses) given.append("status", status);
  if (flawed) given.set("anomalies", "1");
  if (text) given.set("q", text);
  if (task === NO_TASK) given.set("untasked", "1");
  else if (task !== null) given.set("task", task);
  if (group) given.set("group", group);
  const written = given.toString();
  return written ? `#/?${written}` : "#/";
}

/** Return whether a query leaves anything out. */
export function narrows(query) {
  return query.statuses.size > 0 || query.flawed || query.text !== "" || query.task !== null;
}

/**
 * Ask the store.
 * @param {Set<string>} folded keys of groups whose rows are not shown
 * @returns items to draw (rows, and heads of groups), and counts: those of chips tell what a chip would show, those of
 *   tasks are over everything
 */
export function ask(store, query, folded) {
  const words = query.text.toLowerCase().split(/\s+/).filter(Boolean);
  const byStatus = new Map();
  const byTask = new Map();
  const found = [];
  let flawed = 0;
  for (const row of store.ordered()) {
    byTask.set(row.task, (byTask.get(row.task) ?? 0) + 1);
    if (query.task !== null && row.task !== (query.task === NO_TASK ? null : query.task)) continue;
    if (words.length && !words.every((word) => row.text.includes(word))) continue;
    const isFlawed = row.anomalies.length > 0;
    if (!query.flawed || isFlawed) byStatus.set(row.status, (byStatus.get(row.status) ?? 0) + 1);
    const isAsked = query.statuses.size === 0 || query.statuses.has(row.status);
    if (isAsked && isFlawed) flawed++;
    if (isAsked && (isFlawed || !query.flawed)) found.push(row);
  }
  const items = query.group ? grouped(store, query.group, found, folded) : found;
  return { items, found: found.length, byStatus, byTask, flawed };
}

function grouped(store, group, rows, folded) {
  const groups = new Map();
  for (const row of rows) {
    const name = group === "status" ? row.status : row.task;
    let kept = groups.get(name);
    if (!kept) groups.set(name, (kept = { rows: [], flawed: 0 }));
    kept.rows.push(row);
    if (row.anomalies.length) kept.flawed++;
  }
  const names = [...groups.keys()];
  if (group === "status") {
    const order = store.statuses(groups);
    names.sort((one, other) => order.indexOf(one) - order.indexOf(other));
  } else names.sort((one, other) => (one === null ? 1 : other === null ? -1 : one < other ? -1 : 1));
  const items = [];
  for (const name of names) {
    const { rows: members, flawed } = groups.get(name);
    const key = name === null ? group : `${group}:${name}`;
    const isFolded = folded.has(key);
    items.push({ key, head: true, by: group, name, count: members.length, flawed, isFolded });
    if (!isFolded) for (const row of members) items.push(row);
  }
  return items;
}
