// Trains a model in onnxruntime-web under Node; this file knows no model.
//
//     node drive.mjs vowels.train.onnx batches.json [epochs]
//
// batches.json lists batches, each {"name": {"type": "float32", "dims": [5, 2], "data": [...]}}; vowels.init.onnx gives the state.

import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-web";

import { start, step, tensor } from "./step.mjs";

const [path, batchesPath, epochs = "1"] = process.argv.slice(2);
if (batchesPath === undefined) {
  console.error("usage: node drive.mjs STEP BATCHES [EPOCHS]");
  process.exit(2);
}
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(await readFile(path));
const init = await ort.InferenceSession.create(await readFile(path.replace(".train.onnx", ".init.onnx")));
const batches = JSON.parse(await readFile(batchesPath, "utf8"));
let state = await start(init);
for (let epoch = 0; epoch < Number(epochs); epoch++) {
  let sum = 0;
  const begun = performance.now();
  for (const batch of batches) {
    const feeds = Object.fromEntries(Object.entries(batch).map(([name, given]) => [name, tensor(given)]));
    let loss;
    [state, loss] = await step(session, state, feeds);
    sum += loss;
  }
  const took = (performance.now() - begun) / batches.length;
  console.log(`epoch ${epoch}  loss ${(sum / batches.length).toFixed(6)}  ${took.toFixed(2)} ms a step`);
}
