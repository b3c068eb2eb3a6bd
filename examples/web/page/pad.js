// Pad: a surface to draw strokes on, with a mouse, a pen or a finger.

const WIDTH = 4;

export class Pad {
  #points = null;

  // drawn: is called with the points [x, y] of each stroke.
  constructor(canvas, drawn) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    new ResizeObserver(() => this.#fit()).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => {
      if (!event.isPrimary || event.button) return;
      canvas.setPointerCapture(event.pointerId);
      this.#fit();
      this.#points = [];
      this.#add(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.#points || !event.isPrimary) return;
      // A browser may report several places at once.
      for (const place of event.getCoalescedEvents?.() ?? [event]) this.#add(place);
    });
    canvas.addEventListener("pointerup", (event) => {
      if (!this.#points || !event.isPrimary) return;
      const points = this.#points;
      this.#points = null;
      drawn(points);
    });
    canvas.addEventListener("pointercancel", () => {
      this.#points = null;
      this.#fit();
    });
  }

  // Clears the surface, and gives it as many pixels as the screen has there.
  #fit() {
    const { canvas, context } = this;
    const scale = window.devicePixelRatio;
    canvas.width = canvas.clientWidth * scale;
    canvas.height = canvas.clientHeight * scale;
    context.scale(scale, scale);
    Object.assign(context, { lineWidth: WIDTH, lineCap: "round", strokeStyle: getComputedStyle(canvas).color });
  }

  #add({ clientX, clientY }) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const point = [clientX - left - this.canvas.clientLeft, clientY - top - this.canvas.clientTop];
    const from = this.#points.at(-1) ?? point;
    this.context.beginPath();
    this.context.moveTo(...from);
    this.context.lineTo(...point);
    this.context.stroke();
    this.#points.push(point);
  }
}
