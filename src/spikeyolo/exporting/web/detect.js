// What the page computes beside the network: how an image lies on the canvas that the network sees, and what was
// found. No document and no network in here, so that tests run it outside of a browser.

/** Return a number rounded as Python does it: halves to the even neighbour. */
export function roundHalfEven(value) {
  const low = Math.floor(value);
  const rest = value - low;
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

/**
 * Scale an image to fit a canvas and centre it on grey, as `letterbox` in Python does it.
 *
 * @param {{data: Uint8ClampedArray, width: number, height: number}} image red, green, blue and alpha of each pixel
 * @param {number} rows of the canvas
 * @param {number} columns of the canvas
 * @param {number} grey around the image
 * @returns {{planes: Uint8Array, place: object}} (3, rows, columns), and how the image lies there
 */
export function letterbox(image, rows, columns, grey) {
  const scale = Math.min(rows / image.height, columns / image.width);
  const newRows = Math.max(roundHalfEven(image.height * scale), 1);
  const newColumns = Math.max(roundHalfEven(image.width * scale), 1);
  let pixels = withoutAlpha(image);
  if (newRows !== image.height || newColumns !== image.width) {
    const resize = scale > 1 ? enlarge : shrink;
    pixels = resize(pixels, image.height, image.width, newRows, newColumns);
  }
  const top = Math.floor((rows - newRows) / 2);
  const left = Math.floor((columns - newColumns) / 2);
  const planes = new Uint8Array(3 * rows * columns).fill(grey);
  for (let y = 0; y < newRows; y++) {
    for (let x = 0; x < newColumns; x++) {
      const to = (y + top) * columns + x + left;
      const from = 3 * (y * newColumns + x);
      for (let c = 0; c < 3; c++) planes[c * rows * columns + to] = pixels[from + c];
    }
  }
  const place = { left, top, across: newColumns / image.width, down: newRows / image.height };
  return { planes, place: { ...place, width: image.width, height: image.height } };
}

function withoutAlpha(image) {
  const count = image.width * image.height;
  const pixels = new Uint8Array(3 * count);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) pixels[3 * i + c] = image.data[4 * i + c];
  }
  return pixels;
}

/** Which pixels along an axis a smaller one covers, and with which weights; single precision, as OpenCV has them. */
function shares(from, to) {
  const scale = 1 / (to / from);
  const whole = Math.round(scale);
  const exact = Math.abs(scale - whole) < Number.EPSILON;
  const table = [];
  for (let i = 0; i < to; i++) {
    const start = i * scale;
    const end = start + scale;
    const width = Math.min(scale, from - start);
    const last = Math.min(Math.floor(end), from - 1);
    const first = Math.min(Math.ceil(start), last);
    const cell = { first, weights: [] };
    if (first - start > 1e-3) {
      cell.first = first - 1;
      cell.weights.push(Math.fround((first - start) / width));
    }
    for (let at = first; at < last; at++) cell.weights.push(Math.fround(1 / width));
    if (end - last > 1e-3) cell.weights.push(Math.fround(Math.min(end - last, 1, width) / width));
    table.push(cell);
  }
  return { table, whole, exact };
}

/** Average the pixels that each new one covers, as OpenCV's INTER_AREA does it, in the same order of additions. */
function shrink(pixels, rows, columns, newRows, newColumns) {
  const down = shares(rows, newRows);
  const across = shares(columns, newColumns);
  if (down.exact && across.exact) return shrinkByWhole(pixels, columns, newRows, newColumns, down.whole, across.whole);
  const out = new Uint8Array(3 * newRows * newColumns);
  const sums = new Float32Array(3 * newColumns);
  const line = new Float32Array(3 * newColumns);
  for (let y = 0; y < newRows; y++) {
    const { first: top, weights: rowWeights } = down.table[y];
    sums.fill(0);
    for (let k = 0; k < rowWeights.length; k++) {
      averageLine(pixels, 3 * (top + k) * columns, across.table, line);
      for (let i = 0; i < line.length; i++) sums[i] += Math.fround(rowWeights[k] * line[i]);
    }
    for (let i = 0; i < sums.length; i++) out[3 * y * newColumns + i] = Math.min(roundHalfEven(sums[i]), 255);
  }
  return out;
}

function averageLine(pixels, start, table, line) {
  for (let x = 0; x < table.length; x++) {
    const { first, weights } = table[x];
    for (let c = 0; c < 3; c++) {
      let sum = 0;
      for (let j = 0; j < weights.length; j++) {
        sum = Math.fround(sum + Math.fround(pixels[start + 3 * (first + j) + c] * weights[j]));
      }
      line[3 * x + c] = sum;
    }
  }
}

/** The same where each new pixel stands for whole ones: their sum, and one division. */
function shrinkByWhole(pixels, columns, newRows, newColumns, down, across) {
  const out = new Uint8Array(3 * newRows * newColumns);
  const share = Math.fround(1 / (down * across));
  for (let y = 0; y < newRows; y++) {
    for (let x = 0; x < newColumns; x++) {
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let j = 0; j < down; j++) {
          const start = 3 * ((y * down + j) * columns + x * across) + c;
          for (let i = 0; i < across; i++) sum += pixels[start + 3 * i];
        }
        const two = down === 2 && across === 2;
        out[3 * (y * newColumns + x) + c] = two ? (sum + 2) >> 2 : roundHalfEven(Math.fround(sum * share));
      }
    }
  }
  return out;
}

/** For each pixel of a larger axis: its two neighbours, and the weights of both in 2048ths. */
function neighbours(from, to) {
  const scale = 1 / (to / from);
  return Array.from({ length: to }, (_, i) => {
    const at = Math.fround((i + 0.5) * scale - 0.5);
    const first = Math.floor(at);
    const share = Math.fround(at - first);
    const weights = [Math.fround(1 - share), share].map((one) => roundHalfEven(Math.fround(one * 2048)));
    const [left, right] = [first, first + 1].map((one) => Math.min(Math.max(one, 0), from - 1));
    return { first: left, second: right, weights };
  });
}

/** Mix neighbouring pixels in whole numbers, as OpenCV's INTER_LINEAR does it for bytes. */
function enlarge(pixels, rows, columns, newRows, newColumns) {
  const across = neighbours(columns, newColumns);
  const out = new Uint8Array(3 * newRows * newColumns);
  neighbours(rows, newRows).forEach(({ first, second, weights: [a, b] }, y) => {
    across.forEach(({ first: left, second: right, weights: [p, q] }, x) => {
      for (let c = 0; c < 3; c++) {
        const [upper, lower] = [first, second].map((row) => {
          const start = 3 * row * columns + c;
          return (pixels[start + 3 * left] * p + pixels[start + 3 * right] * q) >> 4;
        });
        out[3 * (y * newColumns + x) + c] = (((a * upper) >> 16) + ((b * lower) >> 16) + 2) >> 2;
      }
    });
  });
  return out;
}

/**
 * Return what was found, best first: of boxes of a class that overlap more than `iou` the best.
 *
 * @param {Float32Array} boxes (A, 4) left, top, right, bottom in pixels of the canvas
 * @param {Float32Array} scores (A, classes)
 * @param {{conf: number, iou: number, max_det: number}} thresholds
 * @param {object} place from `letterbox`
 * @returns {{box: number[], score: number, label: number}[]} boxes in pixels of the image
 */
export function detections(boxes, scores, thresholds, place) {
  const classes = scores.length / (boxes.length / 4);
  const least = Math.fround(thresholds.conf);
  const candidates = [];
  for (let i = 0; 4 * i < boxes.length; i++) {
    const own = scores.subarray(i * classes, (i + 1) * classes);
    const label = own.reduce((best, score, at) => (score > own[best] ? at : best), 0);
    if (own[label] > least) candidates.push({ box: boxes.subarray(4 * i, 4 * i + 4), score: own[label], label });
  }
  candidates.sort((one, other) => other.score - one.score); // equal ones stay in order
  const kept = [];
  for (const one of candidates) {
    if (kept.length === thresholds.max_det) break;
    const hidden = kept.some((other) => other.label === one.label && overlap(other.box, one.box) > thresholds.iou);
    if (!hidden) kept.push(one);
  }
  return kept.map((one) => ({ ...one, box: onImage(one.box, place) }));
}

/** Intersection over union of two boxes. */
function overlap(one, other) {
  const width = Math.min(one[2], other[2]) - Math.max(one[0], other[0]);
  const height = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
  if (width <= 0 || height <= 0) return 0;
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  return (width * height) / (area(one) + area(other) - width * height);
}

function onImage(box, { left, top, across, down, width, height }) {
  const inside = (value, most) => Math.min(Math.max(value, 0), most);
  const x = (value) => inside((value - left) / across, width);
  const y = (value) => inside((value - top) / down, height);
  return [x(box[0]), y(box[1]), x(box[2]), y(box[3])];
}

/**
 * Return what the counted spikes cost, and how often neurons fire.
 *
 * @param {Float32Array} counted (layers, codes, 2): spikes, and spikes times the positions that each reaches
 * @param {object} energy of page.json: what a spike of each layer costs, in each slot code
 * @returns {{millijoule: number[], rates: number[][], rate: number[]}} by code; rates by code and layer
 */
export function costs(counted, energy) {
  const codes = energy.codes.map((_, code) => code);
  const at = (layer, code, what) => counted[(layer * codes.length + code) * 2 + what];
  const sum = (code, value) => energy.layers.reduce((total, layer, i) => total + value(layer, i, code), 0);
  const slots = (layer, code) => layer.neurons * energy.codes[code].slots;
  return {
    millijoule: codes.map(
      (code) => energy.codes[code].fixed_mJ + sum(code, (layer, i) => layer.mJ[code] * at(i, code, 1)),
    ),
    rates: codes.map((code) => energy.layers.map((layer, i) => at(i, code, 0) / slots(layer, code))),
    rate: codes.map((code) => sum(code, (layer, i) => at(i, code, 0)) / sum(code, (layer) => slots(layer, code))),
  };
}
