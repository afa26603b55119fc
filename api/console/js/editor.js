// The editor: what is written is checked and drawn after a breath, outdated answers are dropped, saving keeps the place.
import { Refused, call } from "./api.js";
import { Diagram } from "./diagram.js";
import { Kept } from "./keeping.js";
import { Sheet } from "./sheet.js";
import { writeWith } from "./writing.js";

const PAUSE = 250;
const form = document.getElementById("editing");
const area = document.getElementById("text");
const canvas = document.getElementById("canvas");
const verdict = document.getElementById("verdict");
const found = document.getElementById("problems");
const kept = document.getElementById("kept");
const sheet = new Sheet(document.getElementById("sheet"), area, document.getElementById("gutter"), document.getElementById("coloured"));
const diagram = new Diagram(canvas);
const title = document.title.replace(/^\d+ to mend · /, "");

const left = new Kept(form.dataset.id);

let lines = {};
let asked = null;
let timer = 0;
let stored = form.dataset.unsaved ? null : area.value;
let saving = null;
let isOvertaken = false;

async function check() {
  asked?.abort();
  asked = new AbortController();
  const { signal } = asked;
  try {
    const seen = await call("POST", "/v1/workflows/preview", { text: area.value }, { signal });
    if (!signal.aborted) tell(seen);
  } catch (error) {
    if (signal.aborted) return;
    say(verdict, "bad", error instanceof Refused ? error.message : "The server cannot be reached; your text is still here.");
  }
}

function tell(seen) {
  const errors = seen.problems.filter((each) => each.severity === "error").length;
  sheet.mark(seen.problems);
  say(verdict, seen.valid ? "good" : "bad", errors ? `✗ ${counted(errors, "problem")}` : "✓ Can be published");
  document.title = seen.problems.length ? `${seen.problems.length} to mend · ${title}` : title;
  found.replaceChildren(...(seen.problems.length ? listed(seen.problems) : []));
  lines = seen.lines;
  document.getElementById("outdated").hidden = seen.svg !== null;
  if (seen.svg !== null) draw(seen.svg);
  markSteps(seen.problems);
}

function say(element, kind, words) {
  element.className = `verdict ${kind}`;
  if (element.textContent.trim() !== words) element.textContent = words;
}

const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

function listed(problems) {
  const head = document.createElement("h2");
  head.textContent = "What to mend";
  const list = document.createElement("ol");
  list.className = "found";
  for (const each of problems) {
    const item = document.createElement("li");
    item.dataset.severity = each.severity;
    const link = document.createElement("a");
    link.href = "#text";
    link.dataset.line = each.line;
    link.dataset.column = each.column;
    link.textContent = `Line ${each.line}`;
    const words = document.createElement("span");
    const kind = document.createElement("strong");
    kind.textContent = each.severity === "error" ? "Error: " : "Warning: ";
    words.append(kind, ...withCode(each.detail));
    if (each.suggestion) {
      const mend = document.createElement("span");
      mend.className = "quiet";
      mend.append(" ", ...withCode(each.suggestion));
      words.append(mend);
    }
    item.append(link, words);
    list.append(item);
  }
  return [head, list];
}

function withCode(text) {
  return text.split("`").map((part, index) => {
    if (index % 2 === 0) return part;
    const code = document.createElement("code");
    code.textContent = part;
    return code;
  });
}

/** The drawing comes from our own server, which escapes every name in it. */
function draw(svg) {
  const read = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
  if (read.nodeName !== "svg") return;
  const { scrollLeft, scrollTop } = canvas;
  const isFirst = !canvas.querySelector("svg");
  canvas.replaceChildren(document.importNode(read, true));
  diagram.show(isFirst);
  if (!isFirst) canvas.scrollTo(scrollLeft, scrollTop);
}

const steps = () => canvas.querySelectorAll("[data-step]");

/** A problem belongs to the innermost step around it. */
function markSteps(problems) {
  const wrong = new Map();
  const named = Object.keys(lines).sort((one, other) => other.length - one.length);
  for (const each of problems) {
    const pointer = each.pointer.replace(/^\/definition/, "");
    const step = named.find((name) => pointer === name || pointer.startsWith(`${name}/`));
    if (step && wrong.get(step) !== "error") wrong.set(step, each.severity);
  }
  for (const step of steps()) {
    step.classList.toggle("has-error", wrong.get(step.dataset.step) === "error");
    step.classList.toggle("has-warning", wrong.get(step.dataset.step) === "warning");
  }
  here();
}

/** Shows the step in which the cursor stands. */
function here() {
  const line = sheet.line;
  let at = "";
  for (const [pointer, first] of Object.entries(lines)) {
    if (first <= line && (!at || first >= lines[at])) at = pointer;
  }
  for (const step of steps()) step.classList.toggle("here", step.dataset.step === at);
}

/** One at a time: a second one would look like a colleague's. */
async function save() {
  while (saving) await saving;
  if (area.readOnly) return;
  if (stored === area.value) {
    say(kept, "quiet", "Nothing has changed since it was saved.");
    return;
  }
  saving = put();
  await saving;
  saving = null;
}

async function put() {
  const text = area.value;
  const revision = form.elements.revision;
  say(kept, "quiet", "Saving …");
  try {
    const saved = await call("PUT", `/v1/workflows/${form.dataset.id}/source`, { text }, {
      headers: { "If-Match": `"${revision.value}"` },
    });
    revision.value = saved.revision;
    stored = text;
    left.forget();
    say(kept, "quiet", `Saved at ${new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}.`);
  } catch (error) {
    if (error instanceof Refused && error.problem.status === 412) {
      // The page shows both texts, and what saving would change in the colleague's.
      isOvertaken = true;
      form.requestSubmit(document.getElementById("save"));
      return;
    }
    const told = error instanceof Refused
      ? [error.message, ...(error.problem.errors ?? []).map((each) => each.detail)].join(" ")
      : "The server cannot be reached.";
    say(kept, "wrong", `Not saved. ${told}`);
  }
}

document.addEventListener("click", (event) => {
  const line = event.target.closest("[data-line]");
  const step = event.target.closest("[data-step]");
  if (line) {
    event.preventDefault();
    sheet.go(Number(line.dataset.line), Number(line.dataset.column));
  } else if (step && lines[step.dataset.step]) {
    sheet.go(lines[step.dataset.step]);
  }
  if (line || step) here();
});
area.addEventListener("input", () => {
  sheet.show();
  kept.textContent = "";
  clearTimeout(timer);
  timer = setTimeout(check, PAUSE);
});
for (const name of ["keyup", "click"]) area.addEventListener(name, here);
form.addEventListener("submit", (event) => {
  const act = event.submitter?.value;
  if (act === "check") {
    event.preventDefault();
    check();
  } else if (act === "save" && !isOvertaken) {
    event.preventDefault();
    save();
  } else {
    stored = area.value;
  }
});
const isUnsaved = () => !area.readOnly && stored !== area.value;
window.addEventListener("beforeunload", (event) => {
  if (isUnsaved()) event.preventDefault();
});
window.addEventListener("pagehide", () => {
  if (isUnsaved()) left.put(area.value, form.elements.revision.value);
  else left.forget();
});

/** Brings back what was left here unsaved, with the revision it was begun at: a colleague's change is noticed. */
function restore() {
  const found = left.get();
  if (!found || area.readOnly || form.dataset.unsaved || found.text === area.value) return;
  const fresh = { text: area.value, revision: form.elements.revision.value };
  area.value = found.text;
  form.elements.revision.value = found.revision;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "plain small";
  button.textContent = "Discard it";
  button.addEventListener("click", () => {
    area.value = fresh.text;
    form.elements.revision.value = fresh.revision;
    kept.textContent = "";
    left.forget();
    sheet.show();
    check();
    area.focus();
  });
  say(kept, "quiet", "What you left unsaved is back.");
  kept.append(" ", button);
}

writeWith(area, save);
document.documentElement.classList.add("scripted");
restore();
sheet.show();
check();
