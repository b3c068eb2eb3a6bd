// Takes the steps that drive.mjs takes, in a page without anything else, and on the provider that it is asked for.

import * as ort from "onnxruntime-web";

import { start, step, tensor } from "./step.js";

// Returns the mean loss of each epoch. The log of onnxruntime goes to the console; it says where each node runs.
export async function train(name, epochs, provider) {
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "verbose";
  const opened = (end, provider, logSeverityLevel) =>
    ort.InferenceSession.create(`${name}.${end}.onnx`, { executionProviders: [provider], logSeverityLevel });
  let state = await start(await opened("init", "wasm", 4));
  const session = await opened("train", provider, 0);
  const batches = (await (await fetch(`${name}.json`)).json()).map((batch) =>
    Object.fromEntries(Object.entries(batch).map(([name, given]) => [name, tensor(given)])),
  );
  const losses = [];
  for (let epoch = 0; epoch < epochs; epoch++) {
    let sum = 0;
    for (const batch of batches) {
      let loss;
      [state, loss] = await step(session, state, batch);
      sum += loss;
    }
    losses.push(sum / batches.length);
  }
  return losses;
}
