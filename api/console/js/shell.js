// The menu is open where there is room beside the page, and a button where there is not.
const menu = document.querySelector("details.menu");
const narrow = window.matchMedia("(max-width: 60rem)");
const fit = () => { if (menu) menu.open = !narrow.matches; };
narrow.addEventListener("change", fit);
fit();

// A form that was sent is not sent twice by a second click.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});
