// Calls a model in onnxruntime-web, under Node or in a page; this file knows no model.

import * as ort from "onnxruntime-web";

const ARRAYS = {
  float32: Float32Array, float64: Float64Array, int32: Int32Array, int64: BigInt64Array, bool: Uint8Array,
};

// Returns the tensor that JSON describes.
export function tensor({ type, dims, data }) {
  const array = type === "int64" ? BigInt64Array.from(data, BigInt) : ARRAYS[type].from(data);
  return new ort.Tensor(type, array, dims);
}

// Returns what describes a tensor in JSON, where NaN and infinities become null.
export function described({ type, dims, data }) {
  const plain = Array.from(data, Number);
  if (type === "int64" && !plain.every(Number.isSafeInteger)) throw new Error("an integer beyond 2^53");
  return { type, dims, data: type === "bool" ? plain.map(Boolean) : plain };
}

// Yields the outputs of each call; `states` has the output that continues each state, such as { h0: "h_n" }.
export async function* results(session, calls, states = {}) {
  for (const output of Object.values(states)) {
    if (!session.outputNames.includes(output)) throw new Error(`there is no output ${output}`);
  }
  let state = {};
  for await (const call of calls) {
    const outputs = await session.run({ ...state, ...call });
    state = Object.fromEntries(Object.entries(states).map(([name, output]) => [name, outputs[output]]));
    yield outputs;
  }
}
