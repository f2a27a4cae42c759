// Talking to the server: its errors become sentences, a busy server is asked once more.

const PATIENCE_S = 20; // longer than this nobody is kept waiting before the second try
const UNSAID_WAIT_S = 1; // where a busy server does not say how long

let token = null; // in memory only: it is gone when the page is

export const setToken = (given) => { token = given || null; };

/** What went wrong, for the reader. `status` is 0 where the server could not be reached. */
export class Problem extends Error {
  constructor(status, title, detail) {
    super(detail || title);
    this.status = status;
    this.title = title;
    this.detail = detail;
  }

  /** In whole sentences. */
  get sentence() {
    const ended = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);
    const upper = (text) => text.charAt(0).toUpperCase() + text.slice(1);
    return [this.title, this.detail].filter(Boolean).map((text) => ended(upper(text))).join(" ");
  }
}

const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

const once = async (path, options) => {
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  try {
    return await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The server does not answer", "look whether argus serve is still running, then try again");
  }
};

const told = async (response) => {
  let problem = {};
  try { problem = await response.json(); } catch { /* not from our server: a proxy, perhaps */ }
  return new Problem(response.status, problem.title || `Error ${response.status}`, problem.detail || response.statusText);
};

// An answer that is none of a problem; a busy server is asked a second time.
const answerOf = async (path, options, onWait) => {
  let response = await once(path, options);
  if (response.status === 503) {
    const wished = parseFloat(response.headers.get("Retry-After")) || UNSAID_WAIT_S;
    if (wished <= PATIENCE_S) {
      onWait(wished);
      await pause(wished);
      response = await once(path, options);
    }
  }
  if (!response.ok) throw await told(response);
  return response;
};

/**
 * The JSON of an answer.
 *
 * @param options of `fetch`
 * @param onWait called with the seconds to wait where a busy server is asked a second time
 * @throws Problem
 */
export const ask = async (path, options = {}, onWait = () => {}) => {
  const response = await answerOf(path, options, onWait);
  try {
    return await response.json();
  } catch {
    throw new Problem(response.status, "The answer cannot be read", "it is not JSON; something may stand between this page and the server");
  }
};

/** The bytes of an answer. Throws a Problem. */
export const bytesOf = async (path) => (await answerOf(path, {}, () => {})).arrayBuffer();
