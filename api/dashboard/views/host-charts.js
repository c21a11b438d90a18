// A chart over the time of the lanes, drawn with uPlot. Axes are the lanes': all share one time line and one pointer.

import { html, useEffect, useRef } from "/vendor/preact.js";
import uPlot from "/vendor/uplot.js";

const HOUR_S = 3600;
const bars = () => uPlot.paths.bars({ size: [0.78, 200], align: 1 });

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const toned = (name) => () => colour(name);

/** The series of each chart, after the hours. What came is grey: hue belongs to what is missing. */
const SERIES = {
  beats: () => [
    { paths: bars(), fill: toned("--offline-tint"), stroke: toned("--offline-fill"), width: 1, dash: [2, 2], points: { show: false } },
    { paths: bars(), fill: toned("--line-strong"), width: 0, points: { show: false } },
  ],
  latency: () => [
    { stroke: toned("--text-3"), width: 1.5, dash: [4, 3], points: { size: 3, fill: toned("--text-3"), stroke: toned("--text-3") } },
    { stroke: toned("--text-2"), width: 2, points: { size: 3, fill: toned("--text-2"), stroke: toned("--text-2") } },
  ],
  loss: () => [{ paths: bars(), fill: toned("--late-fill"), width: 0, points: { show: false } }],
};

function optionsFor({ kind, fresh, size, report }) {
  const grid = { show: true, stroke: toned("--line"), width: 1 };
  const axis = { size: 0, gap: 0, ticks: { show: false }, border: { show: false }, grid, values: (_plot, splits) => splits.map(() => "") };
  return {
    ...size,
    padding: [1, 0, 1, 0],
    legend: { show: false },
    scales: {
      x: { time: false, range: () => [fresh.current.from / 1000, fresh.current.until / 1000] },
      y: { range: () => [0, fresh.current.top] },
    },
    axes: [
      { ...axis, splits: () => fresh.current.ticks.map(({ at }) => at / 1000) },
      { ...axis, splits: () => [0, fresh.current.top / 2, fresh.current.top] },
    ],
    series: [{}, ...SERIES[kind]()],
    cursor: {
      y: false,
      points: { show: false },
      drag: { x: false, y: false, setScale: false },
      sync: { key: "host", setSeries: false },
      // the hour that the pointer is in, not the one that begins nearest to it
      dataIdx: (plot, _series, _nearest, x) => Math.max(0, Math.min(plot.data[0].length - 1, Math.floor((x - plot.data[0][0]) / HOUR_S))),
    },
    hooks: report ? { setCursor: [(plot) => report(plot.cursor.left >= 0 ? plot.cursor.idx : null)] } : {},
  };
}

/**
 * A chart in a lane; `label` says in words what it shows.
 * @param {{kind: "beats"|"latency"|"loss", data: (number|null)[][], from: number, until: number, top: number, ticks: object[], label: string,
 *   onHour?: (index: number|null) => void}} props
 */
export function Chart({ kind, data, from, until, top, ticks, label, onHour }) {
  const node = useRef(null);
  const plot = useRef(null);
  const fresh = useRef(null);
  const told = useRef(onHour);
  fresh.current = { from, until, top, ticks };
  told.current = onHour;

  useEffect(() => {
    const box = node.current; // the view may be left before its size is told
    if (box === null) return undefined;
    const sizeNow = () => ({ width: Math.max(1, box.clientWidth), height: box.clientHeight });
    const report = onHour && ((index) => told.current(index));
    const made = new uPlot(optionsFor({ kind, fresh, size: sizeNow(), report }), data, box);
    plot.current = made;
    const redraw = () => made.redraw(false, false);
    const sizes = new ResizeObserver(() => made.setSize(sizeNow()));
    sizes.observe(box);
    // a canvas keeps its colours until it is drawn anew: theme, contrast and paper change them
    const queries = ["(prefers-color-scheme: dark)", "(prefers-contrast: more)", "print"].map((query) => matchMedia(query));
    for (const query of queries) query.addEventListener("change", redraw);
    const theme = new MutationObserver(redraw);
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    return () => {
      sizes.disconnect();
      theme.disconnect();
      for (const query of queries) query.removeEventListener("change", redraw);
      made.destroy();
    };
  }, [kind]);
  useEffect(() => plot.current?.setData(data), [data, from, until, top]);
  return html`<div class=${`chart ${kind}`} ref=${node} role="img" aria-label=${label}></div>`;
}
