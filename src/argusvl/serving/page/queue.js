// Asks the server about pictures, a few at a time: first about the one that is looked at.

import { ask, Problem } from "./api.js";
import { TASKS } from "./tasks.js";

const AT_ONCE = 2; // enough that the server can decode one picture beside the other

/** What is asked of a picture now: the same text, the same answer. */
const keyOf = (path, model, picture) => `${path}?${new URLSearchParams({ ...TASKS[path].query(picture), model })}`;

/**
 * Asks and remembers.
 *
 * `now()` says what is asked: `{path, model, pictures, current}`; `changed(picture)` is called when something of a picture has
 * changed, `waiting(seconds)` when a busy server is asked again, and `refused(problem)` when it asks for a token.
 */
export class Queue {
  constructor({ now, changed, waiting, refused }) {
    Object.assign(this, { now, changed, waiting, refused });
    this.running = 0;
  }

  /** `{status, answer, problem}` of a picture: "asking", "done", "failed" or, of none yet, "waiting". */
  entry(picture) {
    const { path, model } = this.now();
    return picture.answers.get(keyOf(path, model, picture)) || { status: "waiting" };
  }

  /** Forgets a failure, so that it is asked again. */
  forget(picture) {
    for (const [key, entry] of picture.answers) if (entry.status === "failed") picture.answers.delete(key);
  }

  /** Asks what is still to be asked. */
  async go() {
    const picture = this.next();
    if (!picture || this.running >= AT_ONCE) return;
    const { path, model } = this.now();
    const key = keyOf(path, model, picture), entry = { status: "asking" };
    picture.answers.set(key, entry);
    this.running += 1;
    this.changed(picture);
    this.go();
    try {
      const headers = { "Content-Type": picture.file.type || "application/octet-stream" };
      entry.answer = await ask(key, { method: "POST", headers, body: picture.file }, this.waiting);
      entry.found = TASKS[path].read(entry.answer);
      entry.status = "done";
    } catch (error) {
      entry.problem = error instanceof Problem ? error : new Problem(0, "The answer cannot be read", String(error.message));
      entry.status = "failed";
    }
    this.running -= 1;
    if (entry.problem && entry.problem.status === 401) {
      picture.answers.delete(key); // to be asked again with a token
      this.refused(entry.problem);
      return;
    }
    this.changed(picture);
    this.go();
  }

  next() {
    const { path, pictures, current } = this.now();
    if (!path) return null;
    const open = (picture) => picture && !picture.refusal && this.entry(picture).status === "waiting";
    if (open(current)) return current;
    return (TASKS[path].all && pictures.find(open)) || null;
  }
}
