// Reads and writes safetensors files: the length of a header, the header as JSON, and the elements.

const TYPES = { F32: "float32", I64: "int64", I32: "int32", BOOL: "bool" };
const ARRAYS = { float32: Float32Array, int64: BigInt64Array, int32: Int32Array, bool: Uint8Array };
const START = 8;

// Returns tensors by name, each { type, dims, data }; throws an error if the bytes are no such file.
export function read(bytes) {
  const { header, body } = split(bytes);
  delete header.__metadata__;
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(header)) {
    const type = TYPES[dtype];
    if (!type) throw new Error(`“${name}” is ${dtype}, which this page does not read`);
    const count = shape.reduce((product, size) => product * size, 1);
    if (to > body.length || to - from !== count * ARRAYS[type].BYTES_PER_ELEMENT) {
      throw new Error(`the elements of “${name}” are incomplete`);
    }
    tensors[name] = { type, dims: shape, data: new ARRAYS[type](body.slice(from, to).buffer) };
  }
  return tensors;
}

function split(bytes) {
  try {
    const length = Number(new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(START, START + length)));
    return { header, body: bytes.subarray(START + length) };
  } catch {
    throw new Error("this is no safetensors file");
  }
}

// Returns the bytes of a file with tensors by name, each { type, dims, data }.
export function write(tensors) {
  const header = {};
  let size = 0;
  for (const [name, { type, dims, data }] of Object.entries(tensors)) {
    const dtype = Object.keys(TYPES).find((key) => TYPES[key] === type);
    header[name] = { dtype, shape: [...dims], data_offsets: [size, size + data.byteLength] };
    size += data.byteLength;
  }
  let text = JSON.stringify(header);
  // Readers that map the file want the elements at a multiple of eight bytes.
  text = new TextEncoder().encode(text + " ".repeat(-new TextEncoder().encode(text).length & 7));
  const bytes = new Uint8Array(START + text.length + size);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, START);
  let place = START + text.length;
  for (const { data } of Object.values(tensors)) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), place);
    place += data.byteLength;
  }
  return bytes;
}
