// Keys that make a text area fit for indented text. Everything goes through `insertText`, so that undo knows it.
const STEP = "  ";

export function writeWith(area, save) {
  let leaving = false;
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { leaving = true; return; }
    if (event.key === "Tab" && !leaving && !event.ctrlKey && !event.altKey && !event.metaKey && !area.readOnly) {
      event.preventDefault();
      indent(area, event.shiftKey);
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !area.readOnly) {
      event.preventDefault();
      insert(area, "\n" + following(area));
    } else if (event.key.toLowerCase() === "s" && (event.ctrlKey || event.metaKey) && !event.altKey) {
      event.preventDefault();
      save();
    }
    if (event.key !== "Shift") leaving = false;
  });
  area.addEventListener("blur", () => { leaving = false; });
}

/** Selects what was there and types over it. */
function insert(area, text, from = area.selectionStart, to = area.selectionEnd) {
  area.setSelectionRange(from, to);
  const typed = text === "" ? document.execCommand("delete") : document.execCommand("insertText", false, text);
  if (!typed) {
    area.setRangeText(text, from, to, "end");
    area.dispatchEvent(new Event("input"));
  }
}

/** The indentation of a new line: as this one's, deeper behind what opens something. */
function following(area) {
  const start = area.value.lastIndexOf("\n", area.selectionStart - 1) + 1;
  const line = area.value.slice(start, area.selectionStart);
  const [before] = line.match(/^\s*/);
  if (/^\s*- [^#]*:\s*$/.test(line)) return before + STEP + STEP;
  return /(:|[|>]|[[{])\s*$/.test(line) ? before + STEP : before;
}

function indent(area, isBack) {
  const { selectionStart: from, selectionEnd: to, value } = area;
  if (from === to && !isBack) { insert(area, STEP); return; }
  const start = value.lastIndexOf("\n", from - 1) + 1;
  const end = to > from && value[to - 1] === "\n" ? to - 1 : (value.indexOf("\n", to) + 1 || value.length + 1) - 1;
  const lines = value.slice(start, end).split("\n");
  const moved = lines.map((line) => (isBack ? line.replace(/^ {1,2}/, "") : line && STEP + line));
  if (moved.join("\n") === lines.join("\n")) return;
  insert(area, moved.join("\n"), start, end);
  if (from === to) {
    const at = Math.max(start, from + moved[0].length - lines[0].length);
    area.setSelectionRange(at, at);
  } else {
    area.setSelectionRange(start, start + moved.join("\n").length);
  }
}
