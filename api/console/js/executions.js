// The list keeps up with what happens, as long as somebody looks at it; what is ticked stays ticked.
import { morph } from "/static/js/morph.js";

const EVERY_MS = 4000;

async function refresh() {
  const list = document.getElementById("list");
  if (document.hidden || !("live" in list.dataset)) return;
  const answer = await fetch(location.href, { credentials: "same-origin", headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("list");
  if (fresh !== null) morph(list, fresh);
}

async function again() {
  try {
    await refresh();
  } catch {
    // The connection comes back or the page is left; the next turn asks again.
  }
  setTimeout(again, EVERY_MS);
}
setTimeout(again, EVERY_MS);

// One box for all that are shown.
const head = document.querySelector(".tick-all");
if (head) {
  const all = document.createElement("input");
  all.type = "checkbox";
  all.setAttribute("aria-label", "Choose all that are shown");
  all.addEventListener("change", () => {
    for (const box of document.querySelectorAll('#bulk input[name="id"]')) box.checked = all.checked;
  });
  head.replaceChildren(all);
  head.dataset.keep = "";
}
