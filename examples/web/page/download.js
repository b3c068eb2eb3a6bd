// Files of the page, and how large they are.

export async function fetched(path) {
  const response = await fetch(new URL(path, import.meta.url));
  if (!response.ok) throw new Error(`the server has no ${path} (${response.status})`);
  return new Uint8Array(await response.arrayBuffer());
}

// Bytes before compression, by the folder of the file.
export function downloaded() {
  const sizes = { models: 0, data: 0, ort: 0 };
  for (const { name, decodedBodySize } of performance.getEntriesByType("resource")) {
    const folder = new URL(name).pathname.split("/").at(-2);
    if (folder in sizes) sizes[folder] += decodedBodySize;
  }
  return { models: sizes.models, data: sizes.data, runtime: sizes.ort };
}

export function bytes(number) {
  return number < 1e6 ? `${Math.round(number / 1e3)} kB` : `${(number / 1e6).toFixed(1)} MB`;
}
