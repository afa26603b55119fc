// Drawings larger than their place: fitted as far as they stay legible, begun where they begin, and zoomed by buttons.
const LEAST = 0.55;
const STEPS = [0.3, 0.4, 0.55, 0.7, 0.85, 1, 1.25, 1.5];

export class Diagram {
  #scale = null;

  constructor(canvas) {
    this.canvas = canvas;
    canvas.before(this.#buttons());
    new ResizeObserver(() => { if (this.#scale === null) this.show(); }).observe(canvas);
    this.show(true);
  }

  /** After a new drawing came in, too. */
  show(fromStart = false) {
    const svg = this.canvas.querySelector("svg");
    if (!svg) return;
    const natural = svg.viewBox.baseVal.width;
    const style = getComputedStyle(this.canvas);
    const room = this.canvas.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const scale = this.#scale ?? Math.min(1, Math.max(LEAST, room / natural));
    svg.style.width = `${Math.round(natural * scale)}px`;
    this.now = scale;
    if (fromStart) this.canvas.scrollTo((this.canvas.scrollWidth - this.canvas.clientWidth) / 2, 0);
  }

  #buttons() {
    const bar = document.createElement("div");
    bar.className = "zoom";
    bar.append(
      this.#button("−", "Smaller", () => STEPS.findLast((each) => each < this.now - 0.01) ?? STEPS[0]),
      this.#button("+", "Larger", () => STEPS.find((each) => each > this.now + 0.01) ?? STEPS.at(-1)),
      this.#button("Fit", "Fit the diagram to its place", () => null),
    );
    return bar;
  }

  #button(sign, words, next) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain small";
    button.textContent = sign;
    button.setAttribute("aria-label", words);
    button.addEventListener("click", () => {
      this.#scale = next();
      this.show();
    });
    return button;
  }
}
