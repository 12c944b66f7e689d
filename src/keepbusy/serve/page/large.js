// One stream, large: its picture, its numbers, and its thresholds by slider.

import { Screen, stateOf } from "./tile.js";
import { duration, say, word } from "./words.js";

const SETTLE_MS = 200;
const find = (id) => document.getElementById(id);

export class Large {
  screen = new Screen();
  name = null;
  #dialog = find("large");
  #isFree = { conf: true, iou: true };
  #timer = 0;
  #onChange;

  /** @param onChange Told when another stream, or none, is shown; @param step Gives the name of a neighbour. */
  constructor(onChange, step) {
    this.#onChange = onChange;
    find("large-picture").append(this.screen.element);
    this.#dialog.addEventListener("close", () => {
      this.name = null;
      onChange();
    });
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.#dialog.close());
    const go = (by) => this.name && this.open(step(this.name, by));
    find("previous").onclick = () => go(-1);
    find("next").onclick = () => go(1);
    this.#dialog.addEventListener("keydown", (event) => {
      if (event.target.type === "range") return;
      if (event.key === "ArrowLeft") go(-1);
      if (event.key === "ArrowRight") go(1);
    });
    for (const key of ["conf", "iou"]) this.#slider(key);
  }

  open(name) {
    if (name === this.name) return;
    this.name = name;
    this.screen.forget();
    this.#isFree = { conf: true, iou: true };
    find("large-name").textContent = name;
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#onChange();
  }

  close() {
    this.#dialog.close();
  }

  told(stream, role) {
    this.#isAdmin(role === "admin");
    for (const [key, usual] of [["conf", 0.25], ["iou", 0.45]]) {
      if (this.#isFree[key]) this.#show(key, stream.thresholds[key] ?? usual);
    }
    const totals = stream.totals;
    const facts = [
      ["source", stream.source], ["state", word("state", stateOf(stream))], ["error", stream.is_stale ? stream.error : ""],
      ["size", stream.width ? `${stream.width}×${stream.height}` : "–"],
      ["rate", `${stream.results_fps.toFixed(1)} / ${stream.arriving_fps.toFixed(1)}`],
      ["age", `${duration(stream.age_p50_ms)} / ${duration(stream.age_p99_ms)}`],
      ["decoder", [stream.decoder || "–", stream.decoder_reason].filter(Boolean).join(": ")],
      ["max_age", duration(stream.max_age_ms)], ["weight", stream.weight],
      ["arrived", totals.arrived], ["results", totals.results], ["failed", totals.errors], ["in_flight", totals.in_flight],
      ["reopened", totals.reopened],
      ...Object.entries(totals.dropped).map(([cause, count]) => ["drop_causes", `${word("cause", cause)}: ${count}`]),
      ...stream.sinks.map((sink) => ["sink", `${sink.sink}: ${sink.written}${sink.failed ? ` (${say("failed")} ${sink.failed})` : ""}`]),
    ];
    const list = find("facts");
    list.replaceChildren();
    for (const [key, value] of facts) {
      if (value === "" || value === null) continue;
      const label = document.createElement("dt");
      label.textContent = say(key);
      const text = document.createElement("dd");
      text.textContent = value;
      list.append(label, text);
    }
  }

  #isAdmin(isAdmin) {
    for (const key of ["conf", "iou"]) find(key).disabled = !isAdmin;
    if (!find("slider-note").dataset.error) find("slider-note").textContent = say(isAdmin ? "changing" : "looking");
  }

  #show(key, value) {
    find(key).value = value;
    find(`${key}-value`).textContent = Number(value).toFixed(2);
  }

  #slider(key) {
    const slider = find(key);
    slider.addEventListener("input", () => {
      this.#isFree[key] = false;
      this.#show(key, slider.value);
      clearTimeout(this.#timer);
      const name = this.name;
      this.#timer = setTimeout(() => this.#send(name, key, Number(slider.value)), SETTLE_MS);
    });
  }

  async #send(name, key, value) {
    const note = find("slider-note");
    try {
      const answer = await fetch(`/api/streams/${encodeURIComponent(name)}`, {
        method: "PATCH",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ [key]: value }),
      });
      const problem = answer.ok ? "" : (await answer.json()).error;
      note.dataset.error = problem;
      note.textContent = problem || say("changing");
    } catch (error) {
      note.textContent = String(error);
    } finally {
      setTimeout(() => (this.#isFree[key] = true), 1500);
    }
  }
}
