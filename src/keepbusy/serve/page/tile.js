// One stream: its picture with its age, its state and its numbers. An old picture is grey, and says how old it is.

import { drawFrame } from "./boxes.js";
import { duration, say, word } from "./words.js";

const BAD = new Set(["failed", "ended", "stalled", "late"]);

const make = (name, className = "", text = "") => {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
};

/** What a stream does, as the page tells it: `live` only while new pictures come, `late` where they should. */
export const stateOf = (stream) =>
  stream.state !== "running" ? stream.state : !stream.is_live ? "running" : stream.is_stale ? "late" : "live";

/** The same beside a picture: where that is old, whatever the reason, nothing is called live. */
const shownState = (stream, isOld) => {
  const state = stateOf(stream);
  return state === "live" && isOld ? "late" : state;
};

/** How a state looks: states are the server's, and there may be new ones. */
const looks = (state) => (state === "live" || state === "running" ? "good" : BAD.has(state) ? "bad" : "warn");

/** A screen that shows a stream's frames. */
export class Screen {
  element = make("div", "screen stale");
  capturedMs = Number.NaN;
  #canvas = make("canvas");
  #notice = make("div", "notice");
  #strong = make("strong");
  #text = make("span");

  constructor() {
    this.#notice.append(this.#strong, this.#text);
    this.element.append(this.#canvas, this.#notice);
  }

  /** Pixels across that it needs. */
  get width() {
    return Math.round(this.element.clientWidth * Math.min(window.devicePixelRatio, 2)) || 320;
  }

  draw(image, head, classes) {
    this.capturedMs = head.captured_ms;
    drawFrame(this.#canvas, image, head, classes);
  }

  forget() {
    this.capturedMs = Number.NaN;
    this.#canvas.width = this.#canvas.width; // Empties it.
  }

  /** Say how old its picture is; returns that, milliseconds. */
  look(nowMs, staleMs, stream) {
    const ageMs = nowMs - this.capturedMs;
    const isStale = !(ageMs <= staleMs);
    this.element.classList.toggle("stale", isStale);
    this.#notice.hidden = !isStale;
    if (isStale) {
      const isThere = Number.isFinite(ageMs);
      this.#strong.textContent = isThere ? say("old", duration(ageMs)) : say("no_picture");
      const state = stream && shownState(stream, isStale);
      this.#text.textContent = state ? [word("state", state), stream.error].filter(Boolean).join(": ") : "";
    }
    return ageMs;
  }
}

/** A screen in the grid, with its numbers. */
export class Tile {
  screen = new Screen();
  element = make("article", "tile");
  stream = null;
  isSeen = false;
  #name = make("h2");
  #state = make("span", "state");
  #written = "";
  #cells = {};

  constructor(name, onOpen) {
    this.name = name;
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "button");
    this.#name.textContent = name;
    const caption = make("div", "caption");
    caption.append(this.#name, this.#state);
    const numbers = make("dl", "numbers");
    for (const key of ["rate", "age", "shown", "drops"]) {
      const cell = make("div", key);
      const value = make("dd", "", "–");
      const label = make("dt");
      label.dataset.words = key;
      label.textContent = say(key);
      cell.append(label, value);
      numbers.append(cell);
      this.#cells[key] = value;
    }
    this.element.append(this.screen.element, caption, numbers);
    this.element.addEventListener("click", onOpen);
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      onOpen();
    });
  }

  told(stream) {
    this.stream = stream;
    this.#write(stateOf(stream));
    this.#cells.rate.textContent = `${stream.results_fps.toFixed(1)} / ${stream.arriving_fps.toFixed(1)}`;
    this.#cells.age.textContent = `${duration(stream.age_p50_ms)} / ${duration(stream.age_p99_ms)}`;
    const causes = Object.entries(stream.dropped_lately).map(([cause, count]) => `${word("cause", cause)} ${count}`);
    const sum = Object.values(stream.dropped_lately).reduce((a, b) => a + b, 0);
    this.#cells.drops.textContent = sum ? `${sum} · ${causes.join(", ")}` : say("none");
    this.#cells.drops.title = causes.join(", ");
  }

  look(nowMs, staleMs) {
    const ageMs = this.screen.look(nowMs, staleMs, this.stream);
    this.#cells.shown.textContent = duration(ageMs);
    // Between two states, or where the connection is lost, the picture grows old all the same.
    if (this.stream) this.#write(shownState(this.stream, ageMs > staleMs));
  }

  #write(state) {
    if (state === this.#written && word("state", state) === this.#state.textContent) return;
    this.#written = state;
    this.#state.textContent = word("state", state);
    this.#state.className = `state ${looks(state)}`;
    this.element.setAttribute("aria-label", `${this.name}: ${word("state", state)}`);
  }
}
