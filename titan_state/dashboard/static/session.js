// Session: the token of the link that `titan-state dashboard` prints, and requests that carry it.

import { decoded } from "./wording.js";

const KEY = "titan-state.token";
const PATIENCE_S = 20;
const WORK_S = 150; // what the service must do first, at its pace
const WORK = new Set(["/api/act", "/api/download", "/api/results"]);
let token = null;
let isRefused = false;

/** A request that was answered with an error, or not at all (status 0). */
export class RequestError extends Error {
  constructor(message, status) {
    super(message);
    this.name = "RequestError";
    this.status = status;
  }
}

/** Take the token out of the address, where it would be shown and kept. Return whether it was there. */
export function takeToken() {
  const found = /^#token=([^&]+)/.exec(location.hash);
  if (found) {
    keepToken(decoded(found[1]));
    history.replaceState(null, "", `${location.pathname}#/`);
    return true;
  }
  try {
    token ??= sessionStorage.getItem(KEY);
  } catch {
    // storage may be forbidden
  }
  return false;
}

/** Take a token that another tab has. */
export function keepToken(given) {
  token = given;
  isRefused = false;
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // it holds until the page is left
  }
}

/** Return the token, null without one. */
export function heldToken() {
  return token;
}

/** The token is none, or is not the right one: nothing is asked until there is another. */
export function refuse() {
  isRefused = true;
}

/** Return why nothing can be asked for, as an error; null if it can. */
export function obstacle() {
  return token === null || isRefused ? new RequestError("this page has no access", 401) : null;
}

/** Return what is said when no answer came in time. */
export function late(seconds, isWork = false) {
  const known = isWork ? ": whether it was done is not known" : "";
  return new RequestError(`the dashboard has not answered for ${seconds} s${known}`, 0);
}

/** Return the headers of a request. */
export function headers() {
  return token === null ? {} : { Authorization: `Bearer ${token}` };
}

/**
 * Ask for, or send, JSON.
 * @param {string} path beginning with /api
 * @param {Object} [body] what is posted; without it the request is a GET
 */
export async function request(path, body) {
  const given = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const type = body === undefined ? {} : { "Content-Type": "application/json" };
  if (obstacle()) throw obstacle();
  const isWork = WORK.has(path);
  const seconds = isWork ? WORK_S : PATIENCE_S;
  const cut = new AbortController();
  const timer = setTimeout(() => cut.abort(), seconds * 1000);
  let answer;
  let content;
  try {
    answer = await fetch(path, { ...given, headers: { ...headers(), ...type }, cache: "no-store", signal: cut.signal });
    content = await answer.json().catch(() => null);
  } catch {
    if (!cut.signal.aborted) throw new RequestError("the dashboard does not answer", 0);
  } finally {
    clearTimeout(timer);
  }
  if (cut.signal.aborted) throw late(seconds, isWork);
  if (!answer.ok)
    throw new RequestError(String(content?.error ?? `the dashboard answered ${answer.status}`), answer.status);
  return content;
}
