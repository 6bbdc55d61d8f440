// Runs the network beside the page, which so answers while it computes.
import { letterbox } from "./detect.js";

let session, ort, about;

/** Fetch a file whole; tell the page how far all of them are. */
async function fetched(path, done) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${answer.statusText}`);
  const reader = answer.body.getReader();
  const parts = [];
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    done(part.value.length);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

async function load(given) {
  about = given;
  const { network, machine, program } = about.files;
  let bytes = 0;
  const report = (more) => {
    bytes += more;
    postMessage({ loaded: bytes / (network.bytes + machine.bytes) });
  };
  const [library, graph, wasm] = await Promise.all([
    import(`./${program}`),
    fetched(network.path, report),
    fetched(machine.path, report),
  ]);
  ort = library;
  ort.env.wasm.numThreads = 1; // more need headers that not every host sends
  ort.env.wasm.wasmBinary = wasm.buffer;
  session = await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] });
  await compute(new Uint8Array(3 * about.size_hw[0] * about.size_hw[1])); // the first time takes much longer
  postMessage({ ready: true });
}

/** Return the outputs by name for an image (3, rows, columns). */
async function compute(planes) {
  const outputs = await session.run({ images: new ort.Tensor("uint8", planes, [1, 3, ...about.size_hw]) });
  return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, tensor.data]));
}

async function look(number, image) {
  const begun = performance.now();
  const { planes, place } = letterbox(image, ...about.size_hw, about.grey);
  const found = await compute(planes);
  postMessage({ number, found, place, milliseconds: performance.now() - begun });
}

addEventListener("message", async ({ data }) => {
  try {
    await (data.about ? load(data.about) : look(data.number, data.image));
  } catch (error) {
    postMessage({ number: data.number, trouble: String(error?.message ?? error) });
  }
});
