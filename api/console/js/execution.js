// The page of an execution, live: when something happens it is asked for again and made alike, so there is one
// drawing of it, the server's. Between two answers only clocks and open bars move.
import { morph } from "/static/js/morph.js";

const run = document.getElementById("run");
const said = document.getElementById("said");
const LEAST_MS = 250;
const AFTER_FAILURE_MS = 4000;

let based = performance.now();
let asked = 0;
let took = 0;
let pending = null;
let stream = null;

/** Milliseconds since the server drew what is shown. */
const elapsed = () => performance.now() - based;

async function refresh({ scroll = false } = {}) {
  const mine = ++asked;
  const began = performance.now();
  const answer = await fetch(location.href, { credentials: "same-origin", headers: { Accept: "text/html" } });
  if (answer.redirected && new URL(answer.url).pathname === "/login") {
    location.assign(answer.url);
    return;
  }
  if (!answer.ok) throw new Error(`the page answered ${answer.status}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("run");
  if (mine !== asked || fresh === null) return; // another one was asked for meanwhile
  const before = statusOf(run);
  based = performance.now();
  morph(run, fresh);
  took = performance.now() - began;
  const after = statusOf(run);
  if (before !== after) said.textContent = `The execution is now ${after.replace("_", " ")}.`;
  if (!("live" in run.dataset)) stop();
  if (scroll) document.getElementById("step")?.scrollIntoView({ block: "start" });
}

const statusOf = (within) => within.querySelector("[data-status]")?.dataset.status ?? "";

/** Soon, and not more often than the server and this machine keep up with. */
function soon(least = LEAST_MS) {
  if (pending !== null) return;
  pending = setTimeout(async () => {
    pending = null;
    try {
      await refresh();
    } catch {
      soon(AFTER_FAILURE_MS);
    }
  }, Math.max(least, took * 2));
}

function listen() {
  if (!("live" in run.dataset) || stream !== null) return;
  stream = new EventSource(`/v1/executions/${run.dataset.execution}/events`);
  let isFirst = true;
  // The page was drawn a moment before the stream began: the first snapshot may bring news too.
  stream.addEventListener("snapshot", (event) => {
    const { execution } = JSON.parse(event.data);
    if (!isFirst || execution.status !== statusOf(run)) soon();
    else if (Date.parse(execution.updated_at) > Number(run.dataset.now)) soon();
    isFirst = false;
  });
  for (const name of ["step", "execution", "end"]) stream.addEventListener(name, () => soon());
}

function stop() {
  stream?.close();
  stream = null;
}

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** As the server tells lengths, in whole seconds. */
function brief(milliseconds) {
  const seconds = Math.max(Math.round(milliseconds / 1000), 0);
  for (const [index, [unit, size]] of UNITS.entries()) {
    if (seconds < size) continue;
    const rest = seconds % size;
    const [name, smaller] = UNITS[index + 1] ?? [];
    const more = smaller ? Math.floor(rest / smaller) : 0;
    return `${Math.floor(seconds / size)} ${unit}${more ? ` ${more} ${name}` : ""}`;
  }
  return "0 s";
}

function tick() {
  if (!("live" in run.dataset) || document.hidden) return;
  const now = Number(run.dataset.now) + elapsed();
  for (const clock of run.querySelectorAll("[data-since]")) {
    const text = brief(now - Date.parse(clock.dataset.since));
    if (clock.textContent !== text) clock.textContent = text;
  }
  grow();
}

function grow() {
  const rate = Number(run.querySelector(".falls")?.dataset.rate ?? 0);
  if (!rate) return;
  for (const bar of run.querySelectorAll("g.open[data-x]")) {
    const x = Number(bar.dataset.x);
    const width = Number(bar.dataset.w) + (rate * elapsed()) / 1000;
    if (x + width >= 1000) {
      soon(); // a new axis
      return;
    }
    for (const part of bar.querySelectorAll("rect:not(.end)")) {
      if (part.getAttribute("width").endsWith("%")) part.setAttribute("width", `${(width / 10).toFixed(2)}%`);
    }
    bar.querySelector(".end")?.setAttribute("x", `${((x + width) / 10).toFixed(2)}%`);
  }
}

// Choosing a step or opening a fold changes a part of the page and its address.
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-part]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  const to = new URL(link.href);
  const isNarrow = matchMedia("(max-width: 78rem)").matches && to.hash === "#step";
  to.hash = "";
  history.pushState(null, "", to);
  try {
    await refresh({ scroll: isNarrow });
  } catch {
    location.assign(to);
  }
});
window.addEventListener("popstate", () => refresh().catch(() => location.reload()));
// Values can be copied where scripts run.
if (navigator.clipboard) document.documentElement.classList.add("scripted");
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.closest(".json-frame").querySelector("pre").textContent);
  said.textContent = "Copied.";
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), 1200);
});
// A step of the drawing leads to what became of it; the table below has the same as links.
document.addEventListener("click", (event) => {
  const pointer = event.target.closest(".graph-frame [data-step]")?.dataset.step;
  const link = pointer && run.querySelector(`.words tr[data-key="${CSS.escape(pointer)}"] a`);
  if (link) location.assign(link.href);
});
// A panel closes by Escape and by a click beside it.
const closeAll = (but) => {
  for (const panel of document.querySelectorAll("details.panel[open]")) if (panel !== but) panel.open = false;
};
document.addEventListener("click", (event) => closeAll(event.target.closest("details.panel")));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const panel = event.target.closest?.("details.panel[open]");
  closeAll(null);
  panel?.querySelector("summary").focus();
});
// Up and down go from step to step.
document.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const row = event.target.closest?.(".falls tbody tr");
  const next = event.key === "ArrowDown" ? row?.nextElementSibling : row?.previousElementSibling;
  const link = next?.querySelector("a");
  if (!link) return;
  event.preventDefault();
  link.focus();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && "live" in run.dataset) soon();
});
window.addEventListener("pagehide", stop);
window.addEventListener("pageshow", listen);
listen();
setInterval(tick, 1000);
