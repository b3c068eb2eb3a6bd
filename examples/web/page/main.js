// The page: opens its two parts, and says how much it downloaded.

import * as ort from "onnxruntime-web";

import { bytes, downloaded } from "./download.js";
import * as gesturesPart from "./gestures.js";
import { report } from "./problem.js";
import * as vowelsPart from "./vowels.js";

// These models are small: more threads would only wait for each other.
ort.env.wasm.numThreads = 1;

async function opened(id, part) {
  const root = document.getElementById(id);
  try {
    const open = await part.open(root);
    root.inert = false;
    return open;
  } catch (error) {
    report(`“${root.querySelector("h2").textContent}” could not start: ${error.message}`);
    throw error;
  }
}

export const vowels = await opened("vowels", vowelsPart);
export const gestures = await opened("gestures", gesturesPart);

const { models, data, runtime } = downloaded();
document.getElementById("download").textContent =
  `The page took ${bytes(models)} of models, ${bytes(data)} of data, and ${bytes(runtime)} of onnxruntime-web, ` +
  "before compression.";
