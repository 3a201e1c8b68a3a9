"use strict";
// Draws the charts of the page History. The numbers are in the tables below them, too.
{

const HEIGHT = 190;
const WIDEST_LABEL = 40; // characters of a name in a legend
const charts = new Map(); // by element

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// --- numbers with units

function scaled(value) {
  for (const [size, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= size) return `${+(value / size).toPrecision(3)}${unit}`;
  }
  return `${+value.toPrecision(3)}`;
}

const UNITS = {
  count: scaled,
  tokens: scaled,
  usd: (value) => (value > 0 && value < 0.1 ? `$${+value.toPrecision(2)}` : value < 1000 ? `$${value.toFixed(2)}` : `$${scaled(value)}`),
  share: (value) => `${Math.round(value * 100)} %`,
  ms: (value) => (value >= 60_000 ? `${+(value / 60_000).toPrecision(3)} min` : value >= 1000 ? `${+(value / 1000).toPrecision(3)} s` : `${Math.round(value)} ms`),
};

// --- one chart

// Bars are stacked: each is drawn from 0 to its own value and those of all before it, the highest first.
function stacked(values) {
  const sums = values[0].map(() => 0);
  return values.map((line) => line.map((value, at) => (sums[at] += value ?? 0)));
}

function options(data, width) {
  const write = UNITS[data.unit];
  const bars = data.kind === "bars";
  const order = data.names.map((_, at) => at);
  if (bars) order.reverse();
  const drawn = bars ? stacked(data.values) : data.values;
  const text = colour("muted");
  const grid = { stroke: colour("line"), width: 1 };
  const series = order.map((at) => ({
    label: data.names[at].length > WIDEST_LABEL ? `${data.names[at].slice(0, WIDEST_LABEL)}…` : data.names[at],
    stroke: colour(data.colours[at]),
    width: bars ? 0 : 2,
    fill: bars ? colour(data.colours[at]) : undefined,
    paths: bars ? uPlot.paths.bars({ size: [0.8, 60], align: 1, gap: 1 }) : undefined,
    points: { show: !bars && data.x.length < 40, size: 5 },
    spanGaps: false,
    value: (_, __, ___, index) => (index === null ? "" : data.values[at][index] === null ? "–" : write(data.values[at][index])),
  }));
  const last = data.x[data.x.length - 1];
  return {
    options: {
      width,
      height: HEIGHT,
      scales: {
        x: { time: true, range: [data.x[0] - (bars ? 0 : data.step / 2), last + (bars ? data.step : data.step / 2)] },
        y: { range: (_, __, max) => (data.unit === "share" ? [0, 1] : uPlot.rangeNum(0, max || 1, 0.1, true)) },
      },
      axes: [
        { stroke: text, grid: { show: false }, ticks: grid, space: 80, values: axisTimes(data.step) },
        { stroke: text, grid, ticks: { show: false }, size: 58, values: (_, splits) => splits.map(write) },
      ],
      series: [{ value: (_, at) => (at === null ? "" : timeOf(at, data.step)), label: data.step === 3600 ? "Hour" : "Day" }, ...series],
      cursor: { drag: { x: true, y: false, setScale: false, dist: 8 }, sync: { key: "history" }, points: { show: !bars } },
      hooks: { setSelect: [(plot) => zoomIn(plot, data)] },
    },
    values: [data.x, ...order.map((at) => drawn[at])],
  };
}

const days = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const hours = new Intl.DateTimeFormat("en-GB", { weekday: "short", hour: "2-digit", minute: "2-digit" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

const timeOf = (at, step) => (step === 3600 ? hours : days).format(at * 1000);

// Days on the axis, and between them hours where there is room for these.
function axisTimes(step) {
  return (_, splits, __, ___, distance) =>
    splits.map((at) => {
      const moment = new Date(at * 1000);
      const midnight = moment.getHours() === 0 && moment.getMinutes() === 0;
      if (midnight || distance >= 86400) return days.format(moment);
      return step === 3600 ? clock.format(moment) : "";
    });
}

// --- zoom: what is chosen by dragging goes into the address, so that it stays after a reload

let leaving = false; // the charts choose together, and one of them is enough

function zoomIn(plot, data) {
  const { left, width } = plot.select;
  if (leaving || width < 8) return;
  const [from, to] = [left, left + width].map((x) => plot.posToVal(x, "x"));
  const chosen = data.x.filter((start) => start + data.step > from && start < to);
  if (!chosen.length) return;
  const address = new URL(location.href);
  address.searchParams.set("since", iso(chosen[0]));
  address.searchParams.set("until", iso(chosen[chosen.length - 1] + data.step));
  address.searchParams.delete("step");
  leaving = true;
  location.assign(address);
}

addEventListener("pageshow", () => (leaving = false));

const iso = (seconds) => new Date(seconds * 1000).toISOString();

document.addEventListener("dblclick", (event) => {
  if (event.target.closest(".chart")) document.getElementById("zoom-out")?.click();
});

// --- all charts

function draw(element) {
  charts.get(element)?.destroy();
  const data = JSON.parse(element.dataset.chart);
  const width = Math.floor(element.clientWidth);
  if (!data.x.length || !data.values.length || width < 50) return;
  const made = options(data, width);
  charts.set(element, new uPlot(made.options, made.values, element));
}

const resized = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const plot = charts.get(target);
    const width = Math.floor(contentRect.width);
    if (!plot) draw(target);
    else if (plot.width !== width && width >= 50) plot.setSize({ width, height: HEIGHT });
  }
});

function drawAll() {
  for (const [element, plot] of charts) {
    if (element.isConnected) continue;
    plot.destroy();
    resized.unobserve(element);
    charts.delete(element);
  }
  for (const element of document.querySelectorAll("[data-chart]")) {
    draw(element);
    resized.observe(element);
  }
}

document.addEventListener("htmx:after:swap", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

}
