// The page: where images come from, what is done with them, and what is said.
import { costs, detections } from "./detect.js";
import { hideCosts, showCosts } from "./charts.js";
import { MANY, drawFound, element, inWords, listFound } from "./view.js";

const at = (id) => document.getElementById(id);
const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
const asked = new Map(); // questions to the worker that it has not answered yet
let about, worker, shown, latest = 0, broken = false;

function say(text, trouble = false) {
  at("status").textContent = text;
  at("status").className = trouble ? "trouble" : "";
}

const complain = (error) => say(String(error?.message ?? error), true);

/** Return a promise of what the network makes of an image. */
function ask(image) {
  const number = (latest += 1);
  return new Promise((resolve, reject) => {
    asked.set(number, { resolve, reject });
    worker.postMessage({ number, image }, [image.data.buffer]);
  });
}

/** Look at what a canvas holds, unless something newer is to be looked at by then. */
async function lookAt(canvas, name) {
  const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const answer = await ask({ data, width, height });
  if (answer.number !== latest) return;
  shown = { canvas, name, ...answer };
  show();
}

/** Show what was last found, by the least score that is chosen now. */
function show() {
  const thresholds = { ...about.thresholds, conf: Number(at("conf").value) };
  at("least").textContent = thresholds.conf.toFixed(2);
  if (!shown) return;
  const { canvas, name, found, place, milliseconds } = shown;
  const objects = detections(found.boxes, found.scores, thresholds, place);
  at("hint").hidden = true;
  at("canvas").hidden = at("results").hidden = false;
  drawFound(at("canvas"), canvas, objects, about);
  listFound(objects, about);
  const words = inWords(objects, about);
  at("canvas").setAttribute("aria-label", `${name}: ${words}`);
  at("count").textContent = objects.length;
  at("time").textContent = `${milliseconds.toFixed(0)} ms`;
  at("rhythm").textContent = `for an image, ${(1000 / milliseconds).toFixed(1)} a second`;
  const cost = about.energy && costs(found.spikes, about.energy);
  if (cost) showCosts(cost, found.spikes, about.energy);
  if (!video.srcObject) say(`${name}: ${words}.`);
  document.dispatchEvent(new CustomEvent("found", { detail: { name, place, objects, milliseconds, ...cost } }));
}

/** Return a canvas of the size of an image, with the pixels as they are in the file. */
function asCanvas(image, width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(image, 0, 0);
  return canvas;
}

async function lookAtFile(file, name) {
  stopCamera();
  say(`Looking at ${name}.`);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new Error(`${name}: is no image that this browser reads`);
  }
  await lookAt(asCanvas(bitmap, bitmap.width, bitmap.height), name);
}

async function lookAtSample(sample, button) {
  press(button);
  const answer = await fetch(sample.path);
  if (!answer.ok) throw new Error(`${sample.path}: ${answer.status} ${answer.statusText}`);
  await lookAtFile(await answer.blob(), sample.name);
}

/** Mark one of the samples, or none. */
function press(button) {
  for (const other of at("samples").children) other.setAttribute("aria-pressed", String(other === button));
}

async function useCamera() {
  if (!navigator.mediaDevices) {
    throw new Error("The camera: browsers give it to pages from https:// and from localhost alone.");
  }
  say("Waiting for the camera.");
  at("camera").disabled = true;
  let stream;
  try {
    stream = video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    const refused = "it was not allowed; the browser's settings of this page change that";
    throw new Error(`The camera: ${error.name === "NotAllowedError" ? refused : error.message}.`);
  } finally {
    at("camera").disabled = false;
  }
  press(null);
  at("camera").setAttribute("aria-pressed", "true");
  at("camera").textContent = "Stop the camera";
  try {
    await video.play();
    say("Looking through the camera.");
    while (video.srcObject === stream) {
      await lookAt(asCanvas(video, video.videoWidth, video.videoHeight), "camera");
      await new Promise(requestAnimationFrame); // which waits where nobody looks
    }
  } finally {
    if (video.srcObject === stream) stopCamera();
  }
}

function stopCamera() {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  at("camera").setAttribute("aria-pressed", "false");
  at("camera").textContent = "Use the camera";
}

function takeDrops() {
  const stage = at("stage");
  addEventListener("dragover", (event) => {
    event.preventDefault();
    stage.classList.add("over");
  });
  addEventListener("dragleave", (event) => event.relatedTarget || stage.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("over");
    takeFile(event.dataTransfer.files[0]);
  });
}

function takeFile(file) {
  if (!file || at("file").disabled) return;
  press(null);
  lookAtFile(file, file.name).catch(complain);
}

function offerSamples() {
  const buttons = about.samples.map((sample) => {
    const button = element("button", "", { type: "button", title: sample.name });
    button.append(element("img", "", { src: sample.path, alt: sample.name }));
    button.addEventListener("click", () => lookAtSample(sample, button).catch(complain));
    return button;
  });
  at("samples").replaceChildren(...buttons);
}

function describe() {
  const { names, size_hw: size, max_count: counts, energy, files, spikeyolo } = about;
  const more = names.length > MANY ? ` and ${names.length - MANY} classes more` : "";
  const finds = `Finds ${names.slice(0, MANY).join(", ")}${more}.`;
  at("about").textContent = `${finds} All is computed in this browser: no image leaves it.`;
  const spiking = energy ? `spike counts 0 to ${counts}, T = ${about.timesteps}` : "the ANN twin, without spikes";
  const sees = `${size[0]} × ${size[1]} pixels`;
  at("made").textContent = `Made by spikeyolo export ${spikeyolo}; ${sees}, ${spiking}; ${files.runtime}.`;
  if (!energy) hideCosts();
  Object.assign(at("conf"), { min: Math.min(0.05, about.thresholds.conf), value: about.thresholds.conf });
  show();
}

function begin() {
  for (const id of ["file", "camera", "conf"]) at(id).disabled = false;
  say("Ready.");
  at("samples").firstElementChild?.click();
}

function hear({ data }) {
  if (broken) return; // other files may still be on their way
  if (data.loaded) say(`Loading the network: ${Math.min(Math.round(100 * data.loaded), 100)} %`);
  else if (data.ready) begin();
  else if (asked.has(data.number)) {
    const { resolve, reject } = asked.get(data.number);
    asked.delete(data.number);
    if (data.trouble) reject(new Error(data.trouble));
    else resolve(data);
  } else {
    broken = true;
    complain(`The network cannot be loaded: ${data.trouble}`);
  }
}

async function start() {
  const answer = await fetch("page.json");
  if (!answer.ok) throw new Error(`page.json: ${answer.status} ${answer.statusText}`);
  about = await answer.json();
  describe();
  offerSamples();
  takeDrops();
  at("file").addEventListener("change", () => takeFile(at("file").files[0]));
  at("camera").addEventListener("click", () => (video.srcObject ? stopCamera() : useCamera().catch(complain)));
  at("conf").addEventListener("input", show);
  addEventListener("resize", () => shown && show());
  worker = new Worker("worker.js", { type: "module" });
  worker.addEventListener("message", hear);
  worker.addEventListener("error", () => complain("This browser cannot run the network; a newer one can."));
  worker.postMessage({ about });
}

start().catch(complain);
