// Session: the token of the link that `titan-state dashboard` prints, and requests that carry it.

const KEY = "titan-state.token";
let token = null;

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
    token = decoded(found[1]);
    try {
      sessionStorage.setItem(KEY, token);
    } catch {
      // it holds until the page is left
    }
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

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
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
  let answer;
  try {
    answer = await fetch(path, { ...given, headers: { ...headers(), ...type }, cache: "no-store" });
  } catch {
    throw new RequestError("the dashboard does not answer", 0);
  }
  const content = await answer.json().catch(() => null);
  if (!answer.ok)
    throw new RequestError(String(content?.error ?? `the dashboard answered ${answer.status}`), answer.status);
  return content;
}
