// What was found, on the image and as a list. Names of classes are text of others: never markup.

const LINE = 2;
const FONT = "12px system-ui, sans-serif";
const PADDING = 3;

/** Classes that are named one by one. */
export const MANY = 8;

/** Return an element with a text in it. */
export function element(kind, text = "", settings = {}) {
  const made = Object.assign(document.createElement(kind), settings);
  made.textContent = text;
  return made;
}

/**
 * Draw an image with boxes, as large as there is room for, in the pixels of the screen.
 *
 * @param {HTMLCanvasElement} canvas where
 * @param {HTMLCanvasElement} image the image itself
 * @param {object[]} found from `detections`
 * @param {object} about page.json
 */
export function drawFound(canvas, image, found, about) {
  const room = canvas.parentElement.clientWidth;
  const width = Math.max(Math.min(room, (0.72 * innerHeight * image.width) / image.height), 1);
  const height = (width * image.height) / image.width;
  const ratio = devicePixelRatio || 1;
  Object.assign(canvas, { width: Math.round(width * ratio), height: Math.max(Math.round(height * ratio), 1) });
  canvas.style.width = `${width}px`;
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  pen.scale(ratio, ratio);
  const scale = width / image.width;
  const boxes = found.map((one) => ({ ...one, box: one.box.map((side) => side * scale) }));
  pen.lineWidth = LINE;
  for (const { box, label } of boxes) {
    pen.strokeStyle = about.colours[label][0];
    pen.strokeRect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
  }
  writeNames(pen, boxes, about, { width, height });
}

/** Write the name of each box where it covers no other name; where there is no such place the list has it. */
function writeNames(pen, boxes, about, limits) {
  pen.font = FONT;
  pen.textBaseline = "middle";
  const taken = [];
  for (const { box, label, score } of boxes) {
    const text = `${about.names[label]} ${score.toFixed(2)}`;
    const size = { width: pen.measureText(text).width + 2 * PADDING, height: 17 };
    const place = freePlace(box, size, limits, taken);
    if (!place) continue;
    taken.push({ ...place, ...size });
    [pen.fillStyle] = about.colours[label];
    pen.fillRect(place.x, place.y, size.width, size.height);
    [, pen.fillStyle] = about.colours[label];
    pen.fillText(text, place.x + PADDING, place.y + size.height / 2);
  }
}

/** Above the box, below, or inside; in the image. */
function freePlace([left, top, right, bottom], size, limits, taken) {
  const places = [
    [left - LINE / 2, top - size.height],
    [left - LINE / 2, bottom],
    [left, top],
    [right - size.width, top],
  ];
  const inside = (value, most) => Math.min(Math.max(value, 0), Math.max(most, 0));
  for (const [x, y] of places) {
    const place = { x: inside(x, limits.width - size.width), y: inside(y, limits.height - size.height) };
    const covers = (other) =>
      place.x < other.x + other.width &&
      other.x < place.x + size.width &&
      place.y < other.y + other.height &&
      other.y < place.y + size.height;
    if (!taken.some(covers)) return place;
  }
  return null;
}

/** Return in words how many of each class there are. */
export function inWords(found, about) {
  const counts = countsOf(found, about);
  const words = counts.flatMap((count, label) => (count ? [`${count} ${about.names[label]}`] : []));
  const more = words.length > MANY ? ` and ${words.length - MANY} classes more` : "";
  return words.slice(0, MANY).join(", ") + more || "nothing found";
}

function countsOf(found, about) {
  return about.names.map((_, label) => found.filter((one) => one.label === label).length);
}

/** List classes with their colours and counts, and every object with its box; of many classes only those found. */
export function listFound(found, about) {
  const chips = countsOf(found, about).flatMap((count, label) => {
    if (!count && about.names.length > MANY) return [];
    const chip = element("li", `${about.names[label]} ${count}`);
    const dot = element("i");
    [dot.style.background] = about.colours[label];
    chip.prepend(dot);
    return [chip];
  });
  document.getElementById("legend").replaceChildren(...chips);
  const rows = found.map(({ box, label, score }) => {
    const row = element("tr");
    const cells = [about.names[label], score.toFixed(3), ...box.map((side) => side.toFixed(1))];
    row.append(...cells.map((text) => element("td", text)));
    return row;
  });
  document.getElementById("objects").replaceChildren(...rows);
}
