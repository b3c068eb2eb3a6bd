// Utterances: sequences of frames, and who spoke them.

import { numbers, padded } from "./batches.js";
import { fetched } from "./download.js";
import { read } from "./safetensors.js";

export const FEATURES = 12;

export class Utterances {
  static async open(part) {
    const { frames, lengths, speakers } = read(await fetched(`data/vowels.${part}.safetensors`));
    const size = frames.dims[1] * FEATURES;
    const sequences = Array.from(lengths.data, (length, i) =>
      frames.data.subarray(i * size, i * size + Number(length) * FEATURES),
    );
    return new Utterances(sequences, Array.from(speakers.data, Number));
  }

  constructor(sequences, speakers) {
    Object.assign(this, { sequences, speakers });
  }

  get count() {
    return this.sequences.length;
  }

  // Returns some of them, as the model takes them.
  batch(places) {
    const [frames, lengths] = padded(places.map((i) => this.sequences[i]), FEATURES);
    return { frames, lengths, speakers: numbers(places.map((i) => this.speakers[i])) };
  }
}
