// Loop: takes steps until it is paused, and lets the page breathe between them.

const BUSY = 30; // milliseconds without a picture

export class Loop {
  #running = null;

  // take: takes a step. show: draws the page anew, given whether the loop runs.
  constructor(take, show) {
    Object.assign(this, { take, show });
  }

  get runs() {
    return this.#running !== null;
  }

  // Runs for a number of steps, or until it is paused.
  run(steps) {
    this.stopping = false;
    this.#running ??= this.#loop(steps).finally(() => {
      this.#running = null;
      this.show(false);
    });
    return this.#running;
  }

  async #loop(steps) {
    let shown = -Infinity;
    for (let i = 0; i < steps && !this.stopping; i++) {
      await this.take();
      if (performance.now() - shown > BUSY) {
        this.show(true);
        await new Promise((resolve) => setTimeout(resolve));
        shown = performance.now();
      }
    }
  }

  // Resolves when the step at work is done.
  async pause() {
    this.stopping = true;
    await this.#running;
  }
}
