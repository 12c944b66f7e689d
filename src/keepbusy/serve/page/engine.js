// What the engine does: the stages' bars, two minutes of history, and the newest frames on a timeline.

import { language, say, word } from "./words.js";

const TIMELINE_MS = 2000;
const LANES = ["preprocess", "infer", "postprocess"];
const HUES = [24, 205, 145, 280, 50, 330, 175, 0, 95, 235];
const find = (id) => document.getElementById(id);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export class EngineView {
  #plot = null;
  #plotted = "";
  #hues = new Map();

  get isShown() {
    return !find("engine").hidden;
  }

  show(isShown) {
    find("engine").hidden = !isShown;
    find("show-engine").setAttribute("aria-expanded", String(isShown));
  }

  told(engine, timeline) {
    if (!this.isShown) return;
    this.#stages(engine.stages);
    this.#history(engine.history);
    if (timeline) this.#timeline(timeline);
  }

  #stages(all) {
    const stages = all.filter((one) => one.frames > 0 || one.stage !== "sink");
    const root = find("stages");
    while (root.children.length < stages.length) root.append(makeBar());
    while (root.children.length > stages.length) root.lastChild.remove();
    stages.forEach((one, number) => {
      const [label, track, value] = root.children[number].children;
      label.textContent = word("stage", one.stage);
      const shares = [one.busy, one.wait_input, one.wait_output];
      const sum = Math.max(1, shares.reduce((a, b) => a + b, 0));
      shares.forEach((share, part) => (track.children[part].style.width = `${(100 * share) / sum}%`));
      value.textContent = say("ms", one.ms.toFixed(1));
      root.children[number].title = `${word("stage", one.stage)}: ${say("busy")} ${Math.round(100 * one.busy)} %`;
    });
  }

  #history(history) {
    const root = find("history");
    const seconds = history.map((_, number) => number - history.length + 1);
    const data = [
      seconds,
      history.map((one) => one.fps),
      history.map((one) => one.dropped),
      history.map((one) => 100 * one.busy),
    ];
    const look = `${language()} ${document.documentElement.dataset.theme} ${colour("ink")}`;
    if (!this.#plot || this.#plotted !== look || this.#plot.width !== root.clientWidth) {
      this.#plot?.destroy();
      this.#plotted = look;
      this.#plot = new uPlot(this.#options(root.clientWidth), data, root);
    } else {
      this.#plot.setData(data);
    }
  }

  #options(width) {
    const axis = { stroke: colour("dim"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") } };
    return {
      width, height: 190,
      cursor: { drag: { x: false, y: false } },
      legend: { live: false },
      scales: { x: { time: false, range: [-119, 0] }, y: { range: (_, low, high) => [0, Math.max(high, 1) * 1.1] }, busy: { range: [0, 105] } },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map((tick) => say("seconds", tick)) },
        axis,
        { ...axis, side: 1, scale: "busy", size: 60, grid: { show: false }, values: (_, ticks) => ticks.map((tick) => `${tick} %`) },
      ],
      series: [
        {},
        { label: say("fps"), stroke: colour("accent"), width: 2 },
        { label: say("dropped"), stroke: colour("bad"), width: 2 },
        { label: say("busy_share"), stroke: colour("busy"), width: 2, scale: "busy", dash: [5, 4] },
      ],
    };
  }

  #timeline(frames) {
    const canvas = find("timeline");
    const ratio = window.devicePixelRatio;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.font = "12px system-ui, sans-serif";
    const labels = 96;
    const lane = (height - 22) / LANES.length;
    const x = (ms) => labels + ((width - labels) * (ms + TIMELINE_MS)) / TIMELINE_MS;
    LANES.forEach((stage, number) => {
      context.fillStyle = colour("dim");
      context.fillText(word("stage", stage), 0, number * lane + lane / 2 + 4);
      context.fillStyle = colour("line");
      context.fillRect(labels, (number + 1) * lane - 1, width - labels, 1);
    });
    const rows = LANES.map(() => []);
    for (const frame of frames) {
      context.fillStyle = `hsl(${this.#hue(frame.stream)} 75% 55%)`;
      LANES.forEach((stage, number) => {
        const span = frame.spans[stage];
        if (!span || span[1] < -TIMELINE_MS) return;
        // Frames that are on the device at once stand below each other.
        let row = rows[number].findIndex((end) => end <= span[0]);
        if (row < 0) row = rows[number].length;
        rows[number][row] = span[1];
        const rowHeight = (lane - 8) / 4;
        const left = Math.max(labels, x(span[0]));
        const top = number * lane + 3 + Math.min(row, 3) * rowHeight;
        context.fillRect(left, top, Math.max(1, x(span[1]) - left), rowHeight - 1);
      });
    }
    context.fillStyle = colour("dim");
    for (let ms = -TIMELINE_MS; ms <= 0; ms += 500) {
      context.textAlign = ms === 0 ? "right" : "left";
      context.fillText(say("seconds", (ms / 1000).toFixed(1)), x(ms), height - 4);
    }
    context.textAlign = "left";
  }

  #hue(name) {
    if (!this.#hues.has(name)) this.#hues.set(name, HUES[this.#hues.size % HUES.length]);
    return this.#hues.get(name);
  }
}

function makeBar() {
  const bar = document.createElement("div");
  bar.className = "bar";
  const track = document.createElement("div");
  track.className = "track";
  for (const name of ["busy", "wait-input", "wait-output"]) {
    const part = document.createElement("i");
    part.className = name;
    track.append(part);
  }
  bar.append(document.createElement("span"), track, document.createElement("output"));
  return bar;
}
