// What lies beside and behind the text area: line numbers, colours, and marks at the lines that have problems.
import { coloured, inBlocks } from "./colouring.js";

export class Sheet {
  constructor(sheet, area, gutter, behind) {
    Object.assign(this, { sheet, area, gutter, behind, lines: [] });
    area.addEventListener("scroll", () => this.follow());
    new ResizeObserver(() => this.follow()).observe(area);
    sheet.classList.add("alive");
  }

  /** Draws what has changed since the last time. */
  show() {
    const texts = this.area.value.split("\n");
    const inside = inBlocks(texts);
    // A line is drawn anew too when it has become text of a block, or no longer is.
    const lines = texts.map((text, at) => (inside[at] ? "|" : " ") + text);
    const same = (at) => lines[at] === this.lines[at];
    let first = 0;
    while (first < lines.length && first < this.lines.length && same(first)) first += 1;
    let kept = 0;
    while (kept < Math.min(lines.length, this.lines.length) - first
      && lines[lines.length - 1 - kept] === this.lines[this.lines.length - 1 - kept]) kept += 1;
    const gone = this.lines.length - kept - first;
    for (let count = 0; count < gone; count += 1) this.behind.children[first].remove();
    const fresh = document.createDocumentFragment();
    for (const line of lines.slice(first, lines.length - kept)) fresh.append(drawn(line.slice(1), line[0] === "|"));
    this.behind.insertBefore(fresh, this.behind.children[first] ?? null);
    while (this.gutter.children.length > lines.length) this.gutter.lastChild.remove();
    while (this.gutter.children.length < lines.length) {
      const number = document.createElement("div");
      number.textContent = String(this.gutter.children.length + 1);
      this.gutter.append(number);
    }
    this.lines = lines;
    this.follow();
  }

  /** `problems` as the API tells them; a line shows the gravest of its own, and its words behind it. */
  mark(problems) {
    // By what is marked, not by number: lines have moved since.
    for (const row of this.sheet.querySelectorAll("[data-mark]")) {
      delete row.dataset.mark;
      delete row.dataset.told;
      delete row.dataset.sign;
    }
    const gravest = new Map();
    for (const each of problems) {
      const before = gravest.get(each.line);
      if (!before || (before.severity !== "error" && each.severity === "error")) gravest.set(each.line, each);
    }
    for (const [line, problem] of gravest) {
      const [number, row] = [this.gutter.children[line - 1], this.behind.children[line - 1]];
      if (!row) continue;
      number.dataset.mark = problem.severity;
      number.dataset.sign = problem.severity === "error" ? "✗" : "▲";
      row.dataset.mark = problem.severity;
      row.dataset.told = problem.detail.replaceAll("`", "");
    }
  }

  follow() {
    const { scrollTop, scrollLeft } = this.area;
    this.gutter.style.transform = `translateY(${-scrollTop}px)`;
    this.behind.style.transform = `translate(${-scrollLeft}px, ${-scrollTop}px)`;
  }

  get line() {
    return this.area.value.slice(0, this.area.selectionStart).split("\n").length;
  }

  /** Puts the cursor there and scrolls it into sight. */
  go(line, column = 1) {
    const lines = this.area.value.split("\n");
    const before = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
    const at = before + Math.min(column - 1, (lines[line - 1] ?? "").length);
    this.area.focus({ preventScroll: false });
    this.area.setSelectionRange(at, at);
    const height = parseFloat(getComputedStyle(this.area).lineHeight);
    this.area.scrollTop = Math.max(0, (line - 1) * height - this.area.clientHeight / 3);
    this.area.scrollLeft = 0;
  }
}

function drawn(line, isText) {
  const row = document.createElement("div");
  for (const [kind, text] of coloured(line, isText)) {
    if (!kind) { row.append(text); continue; }
    const piece = document.createElement("span");
    piece.className = kind;
    piece.textContent = text;
    row.append(piece);
  }
  if (!line) row.append("\u200b");
  return row;
}
