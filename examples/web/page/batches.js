// Batches of sequences of different length.

import { shuffled } from "./random.js";
import { tensor } from "./step.js";

// Returns the places in the data of a batch. The order is another one in each epoch, and follows from the number of the
// step alone: a saved state goes on with the batches that it would have had.
export function chosen(step, count, size) {
  const batches = Math.ceil(count / size);
  const from = (step % batches) * size;
  return shuffled(count, Math.floor(step / batches)).slice(from, from + size);
}

// Returns sequences as one tensor (N, T, features), padded at the end, and their lengths (N,).
export function padded(sequences, features) {
  const lengths = sequences.map((sequence) => sequence.length / features);
  const longest = Math.max(...lengths);
  const data = new Float32Array(sequences.length * longest * features);
  sequences.forEach((sequence, i) => data.set(sequence, i * longest * features));
  return [tensor({ type: "float32", dims: [sequences.length, longest, features], data }), numbers(lengths)];
}

// Returns integers as a tensor (N,).
export function numbers(data) {
  return tensor({ type: "int64", dims: [data.length], data });
}
