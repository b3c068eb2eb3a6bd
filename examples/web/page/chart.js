// Chart: a curve of losses over steps, with a logarithmic axis.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 44, right: 8, top: 10, bottom: 24 };
const SHOWN = 500; // points at most

export class Chart {
  #losses = [];
  #since = 0;

  constructor(root) {
    this.root = root;
    this.svg = root.appendChild(element("svg", { role: "img" }));
    new ResizeObserver(() => this.#draw()).observe(root);
  }

  // since: the number of the step before the first loss.
  show(losses, since) {
    this.#losses = losses;
    this.#since = since;
    this.#draw();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.root;
    if (!width) return;
    const logs = this.#losses.map((loss) => Math.log10(Math.max(loss, 1e-6)));
    const low = Math.floor(Math.min(-1, ...logs));
    const high = Math.max(0.7, ...logs);
    const steps = Math.max(50, logs.length);
    const x = (i) => MARGIN.left + (i / steps) * (width - MARGIN.left - MARGIN.right);
    const y = (log) => MARGIN.top + ((high - log) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);
    const line = (values) => {
      const every = Math.ceil(values.length / SHOWN);
      const points = values.flatMap((value, i) =>
        i % every ? [] : [`${x(i + 1).toFixed(1)},${y(value).toFixed(1)}`],
      );
      return points.length ? `M${points.join("L")}` : "";
    };
    const parts = [];
    for (let log = low; log <= high; log++) {
      parts.push(element("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(log), y2: y(log) }));
      parts.push(label(MARGIN.left - 8, y(log) + 4, "end", String(Number((10 ** log).toPrecision(1)))));
    }
    for (let i = 0; i <= steps; i += interval(steps)) {
      parts.push(label(x(i), height - 6, i ? "middle" : "start", String(i + this.#since)));
    }
    parts.push(element("path", { class: "each", d: line(logs) }));
    parts.push(element("path", { class: "smooth", d: line(smoothed(logs)) }));
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", height);
    const last = this.#losses.at(-1);
    this.svg.setAttribute("aria-label", last === undefined ? "No step yet" : `The loss is ${last.toPrecision(3)}`);
    this.svg.replaceChildren(...parts);
  }
}

// Moving means, exponentially weighted.
function smoothed(values, keep = 0.8) {
  let sum = 0;
  let weight = 0;
  return values.map((value) => {
    sum = keep * sum + value;
    weight = keep * weight + 1;
    return sum / weight;
  });
}

// A round number of steps, of which at most five fit.
function interval(steps) {
  const power = 10 ** Math.floor(Math.log10(steps / 5));
  return [1, 2, 5, 10].map((factor) => factor * power).find((size) => steps / size <= 5);
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function label(x, y, anchor, text) {
  const made = element("text", { x, y, "text-anchor": anchor });
  made.textContent = text;
  return made;
}
