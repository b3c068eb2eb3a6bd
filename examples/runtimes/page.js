// Does what drive.mjs and run.mjs do, in a page without anything else, and on the provider that it is asked for.

import * as ort from "onnxruntime-web";

import { described, results, tensor } from "./model.js";
import { start, step } from "./step.js";

const mapped = (named, change) => Object.fromEntries(Object.entries(named).map(([name, x]) => [name, change(x)]));
const fetched = async (name) => (await (await fetch(`${name}.json`)).json()).map((given) => mapped(given, tensor));

// The log of onnxruntime goes to the console; it says where each node runs.
function opened(file, provider, logSeverityLevel = 0) {
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "verbose";
  return ort.InferenceSession.create(`${file}.onnx`, { executionProviders: [provider], logSeverityLevel });
}

// Returns the outputs of each call as JSON, as run.mjs prints them.
export async function infer(name, states, provider) {
  const session = await opened(name, provider);
  const lines = [];
  for await (const outputs of results(session, await fetched(name), states)) lines.push(mapped(outputs, described));
  return JSON.stringify(lines);
}

// Returns the mean loss of each epoch.
export async function train(name, epochs, provider) {
  let state = await start(await opened(`${name}.init`, "wasm", 4));
  const session = await opened(`${name}.train`, provider);
  const batches = await fetched(name);
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
