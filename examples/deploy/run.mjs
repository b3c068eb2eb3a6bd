// Runs a model in onnxruntime-web under Node; this file knows no model.
//
//     node run.mjs model.onnx calls.json [h0=h_n …]
//
// calls.json has a list of calls, each {"x": {"type": "float32", "dims": [5, 2], "data": [...]}}. For each call it
// prints the outputs as a line of JSON of the same form. With `h0=h_n` the calls are the pieces of a stream: the output
// `h_n` of a call feeds the input `h0` of the next one, and the first call gives the state at the start.

import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-web";

import { described, results, tensor } from "./model.mjs";

const mapped = (named, change) => Object.fromEntries(Object.entries(named).map(([name, x]) => [name, change(x)]));

async function main(path, callsPath, ...pairs) {
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(await readFile(path));
  const calls = JSON.parse(await readFile(callsPath, "utf8")).map((call) => mapped(call, tensor));
  const states = Object.fromEntries(pairs.map((pair) => pair.split("=")));
  for await (const outputs of results(session, calls, states)) console.log(JSON.stringify(mapped(outputs, described)));
}

const words = process.argv.slice(2);
if (words.length < 2) {
  console.error("usage: node run.mjs MODEL CALLS [STATE=OUTPUT ...]");
  process.exit(2);
}
await main(...words);
