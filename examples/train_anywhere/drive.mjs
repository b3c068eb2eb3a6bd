// Trains a model in onnxruntime-web, under Node or in a page; this file knows no model.
//
//     node drive.mjs vowels.train.onnx batches.json [epochs]
//
// batches.json has a list of batches, each {"name": {"type": "float32", "dims": [5, 2], "data": [...]}}. An output
// `next.X` feeds the input `X` of the next step; the first values are those of vowels.init.onnx.

import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import * as ort from "onnxruntime-web";

const ARRAYS = { float32: Float32Array, int64: BigInt64Array, int32: Int32Array, bool: Uint8Array };

export function tensor({ type, dims, data }) {
  const array = type === "int64" ? BigInt64Array.from(data, BigInt) : ARRAYS[type].from(data);
  return new ort.Tensor(type, array, dims);
}

export async function start(init) {
  return { ...(await init.run({})) };
}

// Takes a step; returns the next state, the loss, and the metrics.
export async function step(session, state, batch) {
  const { loss, ...results } = await session.run({ ...state, ...batch });
  const next = {};
  for (const name of Object.keys(state)) {
    next[name] = results[`next.${name}`];
    delete results[`next.${name}`];
  }
  return [next, Number(loss.data[0]), results];
}

async function main(path, batchesPath, epochs = "1") {
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
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(...process.argv.slice(2));
}
