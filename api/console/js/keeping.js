// An unsaved text outlives its page: a session that ended, a wrong click, a browser that was closed and opened again.
const AGE = 7 * 24 * 3600 * 1000;

export class Kept {
  constructor(id) {
    this.key = `perdure-draft-${id}`;
  }

  /** What was left here unsaved: {text, revision}, or null. */
  get() {
    try {
      const found = JSON.parse(sessionStorage.getItem(this.key));
      return found && Date.now() - found.at < AGE ? found : null;
    } catch {
      return null;
    }
  }

  put(text, revision) {
    try {
      sessionStorage.setItem(this.key, JSON.stringify({ text, revision, at: Date.now() }));
    } catch {
      // Full or forbidden: the question before leaving is what remains.
    }
  }

  forget() {
    try {
      sessionStorage.removeItem(this.key);
    } catch {
      // As above.
    }
  }
}
