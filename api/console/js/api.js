// Talks to our own API as the person whose page this is.
const csrf = document.querySelector('meta[name="csrf-token"]')?.content ?? "";

export class Refused extends Error {
  constructor(problem) {
    super(problem.detail ?? problem.title ?? "The request was refused.");
    this.problem = problem;
  }
}

/** Answers the parsed JSON (null for an empty answer); throws Refused with the problem document. */
export async function call(method, path, body, { signal, headers = {} } = {}) {
  const answer = await fetch(path, {
    method,
    signal,
    credentials: "same-origin",
    headers: {
      Accept: "application/json",
      "X-CSRF-Token": csrf,
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (answer.status === 401) {
    window.location.assign(`/login?reason=session-ended&next=${encodeURIComponent(location.pathname + location.search)}`);
  }
  const text = await answer.text();
  const value = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new Refused(value ?? { detail: `The server answered ${answer.status}.` });
  return value;
}
