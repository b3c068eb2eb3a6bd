// Trainer: a model's training step and its state. It knows no model: names come from the files.

import * as ort from "onnxruntime-web";

import { fetched } from "./download.js";
import * as safetensors from "./safetensors.js";
import { start, step, tensor } from "./step.js";

const TIMED = 50;

export class Trainer {
  // Reads the three files of a training step from the folder models.
  static async open(name) {
    const files = await Promise.all(["train.onnx", "init.onnx", "onnx"].map((end) => fetched(`models/${name}.${end}`)));
    const [session, init, inference] = await Promise.all(files.map((file) => ort.InferenceSession.create(file)));
    const size = files.reduce((sum, file) => sum + file.length, 0);
    return new Trainer(session, inference, await start(init), size);
  }

  constructor(session, inference, first, size) {
    Object.assign(this, { session, inference, first, size });
    this.reset();
  }

  reset() {
    this.#goOnFrom(this.first);
  }

  #goOnFrom(state) {
    this.state = state;
    this.since = this.count; // the number of steps before the first of `losses`
    this.losses = [];
    this.times = [];
  }

  // The number of steps, which is a part of the state: a saved one goes on where it was.
  get count() {
    return Number(this.state.step.data[0]);
  }

  get milliseconds() {
    return this.times.reduce((sum, time) => sum + time, 0) / this.times.length;
  }

  async step(batch) {
    const begun = performance.now();
    const [state, loss] = await step(this.session, this.state, batch);
    this.times = [...this.times.slice(1 - TIMED), performance.now() - begun];
    this.losses.push(loss);
    this.state = state;
  }

  // Sets an option of the optimizer, such as lr.
  set(option, value) {
    this.state = { ...this.state, [option]: tensor({ type: "float32", dims: [], data: [value] }) };
  }

  // Runs the model for inference; returns the scores of each sequence.
  async scores(batch) {
    const { inputNames, outputNames } = this.inference;
    const taken = Object.entries({ ...this.state, ...batch }).filter(([name]) => inputNames.includes(name));
    const { data, dims } = (await this.inference.run(Object.fromEntries(taken)))[outputNames[0]];
    return Array.from({ length: dims[0] }, (_, i) => data.subarray(i * dims[1], (i + 1) * dims[1]));
  }

  save() {
    return safetensors.write(this.state);
  }

  // Takes the state in a safetensors file; throws an error, and changes nothing, if it is not this model's.
  load(bytes) {
    const given = safetensors.read(bytes);
    const form = (value) => (value ? `${value.type}[${value.dims}]` : "nothing");
    const names = new Set([...Object.keys(this.first), ...Object.keys(given)]);
    const wrong = [...names].filter((name) => form(this.first[name]) !== form(given[name]));
    if (wrong.length) {
      const found = wrong.map((name) => `${name}: ${form(given[name])} instead of ${form(this.first[name])}`);
      throw new Error(`this state is another model's\n${found.join("\n")}`);
    }
    this.#goOnFrom(Object.fromEntries(Object.keys(this.first).map((name) => [name, tensor(given[name])])));
  }
}
