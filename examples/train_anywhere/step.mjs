// A training step in onnxruntime-web, under Node or in a page; this file knows no model. An output `next.X` feeds the
// input `X` of the next step; the first values are the outputs of the init file.

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
