// The first part: a model that learns who speaks, from recorded utterances.

import { best, shares } from "./answers.js";
import { showBars } from "./bars.js";
import { chosen } from "./batches.js";
import { Chart } from "./chart.js";
import { showConfusion } from "./confusion.js";
import { connect, fact } from "./controls.js";
import { showHeatmap } from "./heatmap.js";
import { Loop } from "./loop.js";
import { Trainer } from "./trainer.js";
import { FEATURES, Utterances } from "./utterances.js";

const SPEAKERS = 9;
const BATCH = 32;
const EPOCHS = 40; // that a click takes

export async function open(root) {
  const [trainer, train, test] = await Promise.all([
    Trainer.open("vowels"),
    Utterances.open("train"),
    Utterances.open("test"),
  ]);
  const chart = new Chart(root.querySelector(".chart"));
  const epoch = Math.ceil(train.count / BATCH);
  const names = Array.from({ length: SPEAKERS }, (_, i) => `Speaker ${i + 1}`);
  let asked = 0;

  async function take() {
    await trainer.step(train.batch(chosen(trainer.count, train.count, BATCH)));
    if (trainer.count % epoch === 0) await examine();
  }

  // Has the model answer the whole test set.
  async function examine() {
    const scores = await trainer.scores(test.batch(test.sequences.map((_, i) => i)));
    const answers = scores.map(best);
    const right = answers.filter((answer, i) => answer === test.speakers[i]).length;
    fact(root, "accuracy", `${((100 * right) / test.count).toFixed(1)} %`);
    showConfusion(root.querySelector(".confusion"), test.speakers, answers, SPEAKERS);
    answer(scores[asked]);
  }

  function answer(scores) {
    fact(root, "truth", `Utterance ${asked + 1} of the test set is speaker ${test.speakers[asked] + 1}'s; the answer ` +
      `is speaker ${best(scores) + 1}.`);
    showBars(root.querySelector(".bars"), names, shares(scores));
    showHeatmap(root.querySelector(".heatmap"), test.sequences[asked], FEATURES);
  }

  const curve = () => chart.show(trainer.losses, trainer.since);
  const loop = new Loop(take, () => {
    curve();
    figures();
  });
  const figures = connect(root, {
    name: "vowels",
    trainer,
    loop,
    steps: EPOCHS * epoch,
    show: async () => {
      curve();
      await examine();
    },
  });
  root.querySelector("[data-do=another]").addEventListener("click", async () => {
    asked = (asked + 37) % test.count; // another speaker each time
    const [scores] = await trainer.scores(test.batch([asked]));
    answer(scores);
  });

  curve();
  figures();
  await examine();
  return { trainer, loop, train };
}
