// Examples: the strokes that a person drew for each gesture, and the choice of what to draw next.

import { normalized } from "./strokes.js";

export const ASK = -1; // what is drawn is no example, but to be recognized

export class Examples {
  // changed: is called after a change.
  constructor(root, count, changed) {
    this.changed = changed;
    this.strokes = Array.from({ length: count }, () => []);
    this.rows = this.strokes.map((_, gesture) => this.#row(root, gesture));
    this.ask = root.appendChild(made("div", { className: "mode" }));
    const id = "mode-ask";
    this.ask.append(this.#radio(id, ASK), made("label", { htmlFor: id, textContent: "to be recognized" }));
    this.mode = 0;
    document.getElementById("mode-0").checked = true;
  }

  // The number of the gesture that is drawn now, or ASK.
  get chosen() {
    return this.mode;
  }

  choose(mode) {
    this.mode = mode;
    document.getElementById(mode === ASK ? "mode-ask" : `mode-${mode}`).checked = true;
    this.changed();
  }

  get names() {
    return this.rows.map(({ name }, i) => name.value.trim() || `Gesture ${i + 1}`);
  }

  // All strokes with the numbers of their gestures.
  get all() {
    return this.strokes.flatMap((strokes, gesture) => strokes.map((points) => ({ points, gesture })));
  }

  // How many gestures have a number of strokes or more.
  ready(fewest) {
    return this.strokes.filter((strokes) => strokes.length >= fewest).length;
  }

  add(points) {
    this.strokes[this.mode].push(points);
    this.#show(this.mode);
  }

  #show(gesture) {
    this.rows[gesture].thumbnails.replaceChildren(...this.strokes[gesture].map(thumbnail));
    this.rows[gesture].clear.disabled = !this.strokes[gesture].length;
    this.changed();
  }

  #row(root, gesture) {
    const id = `mode-${gesture}`;
    const row = root.appendChild(made("div", { className: "mode" }));
    const name = made("input", { type: "text", value: `Gesture ${gesture + 1}`, maxLength: 20 });
    const clear = made("button", { type: "button", textContent: "Clear", disabled: true });
    const thumbnails = made("div", { className: "thumbnails" });
    name.setAttribute("aria-label", `Name of gesture ${gesture + 1}`);
    clear.setAttribute("aria-label", `Clear gesture ${gesture + 1}`);
    clear.addEventListener("click", () => {
      this.strokes[gesture] = [];
      this.#show(gesture);
    });
    const radio = this.#radio(id, gesture);
    radio.setAttribute("aria-label", `An example of gesture ${gesture + 1}`);
    row.append(radio, name, clear, thumbnails);
    return { name, clear, thumbnails };
  }

  #radio(id, mode) {
    const radio = made("input", { type: "radio", name: "mode", id });
    radio.addEventListener("change", () => this.choose(mode));
    return radio;
  }
}

function thumbnail(points) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  svg.setAttribute("viewBox", "-1.25 -1.25 2.5 2.5");
  svg.setAttribute("aria-hidden", "true");
  line.setAttribute("points", normalized(points).map((point) => point.map((x) => x.toFixed(2)).join()).join(" "));
  svg.append(line);
  return svg;
}

function made(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}
