// The buttons and figures that every part of the page has: train, pause, reset, save, load.

import { bytes } from "./download.js";
import { clear, report } from "./problem.js";

// Returns a function that shows the figures of a trainer.
// name: of the saved file. steps: that a click on Train takes. show: shows what else changes with the state.
export function connect(root, { name, trainer, loop, steps, show }) {
  const button = (what) => root.querySelector(`[data-do=${what}]`);
  const file = root.querySelector("input[type=file]");
  const options = [...root.querySelectorAll("[data-option]")];

  const on = (element, event, act) =>
    element.addEventListener(event, async () => {
      clear();
      try {
        await act();
      } catch (error) {
        report(error.message);
      }
    });
  const whenPaused = async (act) => {
    await loop.pause();
    await act();
    await show();
    figures();
  };

  on(button("train"), "click", () => (loop.runs ? loop.pause() : loop.run(steps)));
  on(button("reset"), "click", () => whenPaused(() => trainer.reset()));
  on(button("save"), "click", () => whenPaused(() => download(trainer.save(), `${name}.${trainer.count}.safetensors`)));
  on(button("load"), "click", () => file.click());
  on(file, "change", () =>
    whenPaused(async () => {
      const [chosen] = file.files;
      const given = new Uint8Array(await chosen.arrayBuffer());
      file.value = ""; // so that the same file can be chosen again
      try {
        trainer.load(given);
      } catch (error) {
        throw new Error(`${chosen.name} cannot be loaded: ${error.message}`);
      }
    }),
  );
  for (const option of options) {
    on(option, "change", () => trainer.set(option.dataset.option, Number(option.value)));
  }

  function figures() {
    const last = trainer.losses.at(-1);
    fact(root, "step", trainer.count);
    fact(root, "loss", last === undefined ? "–" : last.toPrecision(3));
    fact(root, "time", last === undefined ? "–" : `${trainer.milliseconds.toFixed(1)} ms`);
    fact(root, "size", bytes(trainer.size));
    button("train").textContent = loop.runs && !loop.stopping ? "Pause" : "Train";
    for (const option of options) select(option, trainer.state[option.dataset.option].data[0]);
  }
  return figures;
}

export function fact(root, name, text) {
  root.querySelector(`[data-fact=${name}]`).textContent = text;
}

// Selects a number, which a loaded state may have beside those on offer.
function select(menu, float) {
  const fits = (option) => Math.fround(option.value) === float;
  if (![...menu.options].some(fits)) menu.add(new Option(float.toPrecision(3), float));
  menu.selectedIndex = [...menu.options].findIndex(fits);
}

function download(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: "application/octet-stream" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
