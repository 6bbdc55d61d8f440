// How often the network fires on an image, layer by layer, and what that costs beside the ANN.
import { element } from "./view.js";

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const at = (id) => document.getElementById(id);

/** Leave out all of it, of a network without spikes. */
export function hideCosts() {
  for (const part of document.querySelectorAll(".spiking")) part.hidden = true;
}

/**
 * Show what `costs` returned.
 *
 * @param {{millijoule: number[], rates: number[][], rate: number[]}} costs by slot code
 * @param {Float32Array} counted as for `costs`
 * @param {object} energy of page.json
 */
export function showCosts(costs, counted, energy) {
  at("rate").textContent = percent(costs.rate[0]);
  const times = costs.millijoule.map((one) => `${(energy.ann_mJ / one).toFixed(1)} times`);
  at("ratio").textContent = times.at(-1);
  const others = energy.codes.slice(0, -1).map(({ name }, code) => `; ${name}: ${times[code]}`);
  at("against").textContent = `the energy, if it ran as an ANN (${energy.codes.at(-1).name} slots${others.join("")})`;
  const rows = energy.codes.map(({ name }, code) => [`with spikes, ${name} slots`, costs.millijoule[code], "snn"]);
  showBars([...rows, ["as an ANN, as one would run it", energy.ann_mJ, ""]]);
  at("technology").textContent =
    `Computed, not measured: additions that the spikes of this image cause, times what an operation costs ` +
    `(${energy.technology}, operations alone; ${energy.source}).`;
  showRates(costs.rates[0], energy);
  listLayers(costs.rates[0], counted, energy);
}

function showBars(rows) {
  const most = Math.max(...rows.map(([, value]) => value));
  const parts = rows.flatMap(([label, value, kind]) => {
    const bar = element("i");
    const length = element("i", "", { className: kind });
    length.style.width = `${(100 * value) / most}%`;
    bar.append(length);
    return [element("span", label), bar, element("b", `${value.toFixed(3)} mJ`)];
  });
  at("energy").replaceChildren(...parts);
}

function showRates(rates, energy) {
  const most = Math.max(...rates, 1e-9);
  const columns = rates.map((rate, layer) => {
    const column = element("i", "", { title: `${energy.layers[layer].name}: ${percent(rate)}` });
    column.style.height = `${(100 * rate) / most}%`;
    return column;
  });
  const highest = energy.layers[rates.indexOf(Math.max(...rates))].name;
  at("highest").textContent = `up to ${percent(most)}`;
  at("rates").replaceChildren(...columns);
  const words = `Firing rate of ${rates.length} layers; the highest, ${percent(most)}, is ${highest}`;
  at("rates").setAttribute("aria-label", words);
}

function listLayers(rates, counted, energy) {
  const codes = energy.codes.length;
  const rows = energy.layers.map((layer, number) => {
    const microjoule = layer.mJ.map((one, code) => 1000 * one * counted[(number * codes + code) * 2 + 1]);
    const row = element("tr");
    const cells = [layer.name, percent(rates[number]), ...microjoule.map((one) => one.toFixed(2))];
    row.append(...cells.map((text) => element("td", text)));
    return row;
  });
  at("layers").replaceChildren(...rows);
}
