// The second part: a model that learns gestures which a person draws.

import { best, shares } from "./answers.js";
import { showBars } from "./bars.js";
import { numbers, padded } from "./batches.js";
import { Chart } from "./chart.js";
import { connect, fact } from "./controls.js";
import { ASK, Examples } from "./examples.js";
import { Loop } from "./loop.js";
import { Pad } from "./pad.js";
import { report } from "./problem.js";
import { generator } from "./random.js";
import { features, FEATURES, sideOf, varied } from "./strokes.js";
import { Trainer } from "./trainer.js";

const GESTURES = 3;
const BATCH = 24;
const STEPS = 120; // that a click takes
const FEWEST = 2; // strokes of a gesture
const SHORTEST = 24; // pixels
const DOUBTFUL = 0.7;

export async function open(root) {
  const trainer = await Trainer.open("gestures");
  const chart = new Chart(root.querySelector(".chart"));
  const train = root.querySelector("[data-do=train]");
  const examples = new Examples(root.querySelector(".modes"), GESTURES, hint);
  new Pad(root.querySelector(".pad"), drawn);

  function hint() {
    const ready = examples.ready(FEWEST) >= 2;
    train.disabled = !ready;
    if (!ready) loop.pause(); // there may be nothing left to learn from
    const asking = examples.chosen === ASK;
    const name = asking ? "" : examples.names[examples.chosen];
    fact(root, "hint",
      asking ? "Draw a gesture, and the model says which one it is."
        : ready ? `Draw “${name}”, or train.`
          : `Draw “${name}” in one stroke; two gestures need ${FEWEST} strokes or more.`);
  }

  async function drawn(points) {
    if (sideOf(points) < SHORTEST) {
      fact(root, "hint", "That was too short; draw a longer stroke.");
    } else if (examples.chosen === ASK) {
      await recognize(points).catch((error) => report(error.message));
    } else {
      examples.add(points);
    }
  }

  // A batch of what was drawn, each stroke in several variants, which follow from the number of the step.
  function batch(step) {
    const random = generator(step);
    const { all } = examples;
    const picked = Array.from({ length: BATCH }, (_, i) => all[(step * BATCH + i) % all.length]);
    const [points, lengths] = padded(picked.map((one) => features(varied(one.points, random))), FEATURES);
    return { points, lengths, gestures: numbers(picked.map((one) => one.gesture)) };
  }

  async function recognize(stroke) {
    const [points, lengths] = padded([features(stroke)], FEATURES);
    const [scores] = await trainer.scores({ points, lengths });
    const found = shares(scores);
    const name = examples.names[best(scores)];
    fact(root, "answer", Math.max(...found) < DOUBTFUL ? `Perhaps ${name}` : name);
    showBars(root.querySelector(".bars"), examples.names, found);
  }

  const curve = () => chart.show(trainer.losses, trainer.since);
  const loop = new Loop(
    () => trainer.step(batch(trainer.count)),
    (runs) => {
      curve();
      figures();
      if (!runs && trainer.losses.length) examples.choose(ASK);
    },
  );
  const figures = connect(root, {
    name: "gestures",
    trainer,
    loop,
    steps: STEPS,
    show: () => {
      curve();
      fact(root, "answer", "");
      root.querySelector(".bars").replaceChildren();
    },
  });
  curve();
  figures();
  hint();
  return { trainer, loop, examples, batch };
}
