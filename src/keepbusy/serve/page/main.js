// The page put together: tiles, the large view, the engine, and the one connection for all of them.

import { Connection } from "./connection.js";
import { EngineView } from "./engine.js";
import { Large } from "./large.js";
import { stateOf, Tile } from "./tile.js";
import { language, overload, say, verdict, word, writeWords } from "./words.js";

const LOOK_MS = 250;
const MIN_TILE_PX = 340;
const find = (id) => document.getElementById(id);
const tiles = new Map();
const engine = new EngineView();
let server = { classes: [], page: { stale_after_s: 3 }, role: "viewer" };
let last = null;

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) tiles.get(entry.target.dataset.stream).isSeen = entry.isIntersecting;
  wish();
}, { rootMargin: "100px" });

const large = new Large(wish, (name, by) => {
  const names = [...tiles.keys()];
  return names[(names.indexOf(name) + by + names.length) % names.length];
});

const connection = new Connection({
  hello(told) {
    server = told;
    if (server.classes.length === 0) setTimeout(learn, 2000); // The model is still being compiled.
  },
  open: () => (find("lost").hidden = true),
  lost: () => (find("lost").hidden = false),
  refused: login,
  state(told) {
    last = told;
    write();
  },
  picture(head, image) {
    // Into both: the larger picture of the two may have been asked for by either.
    tiles.get(head.stream)?.screen.draw(image, head, server.classes);
    if (large.name === head.stream) large.screen.draw(image, head, server.classes);
  },
});

async function learn() {
  const answer = await fetch("/api/server").catch(() => null);
  if (answer?.ok) server = { ...server, ...(await answer.json()) };
  if (server.classes.length === 0) setTimeout(learn, 2000);
}

/** Tell the server which pictures are wanted, how large. */
function wish() {
  const wanted = {};
  if (!document.hidden) {
    for (const tile of tiles.values()) if (tile.isSeen && !large.name) wanted[tile.name] = tile.screen.width;
    if (large.name) wanted[large.name] = large.screen.width;
  }
  connection.show(wanted, engine.isShown && !document.hidden);
}

/** Write what was told last. */
function write() {
  if (!last) return;
  const names = last.streams.map((stream) => stream.name);
  for (const [name, tile] of tiles) {
    if (names.includes(name)) continue;
    seen.unobserve(tile.element);
    tile.element.remove();
    tiles.delete(name);
    if (large.name === name) large.close();
  }
  for (const stream of last.streams) {
    if (!tiles.has(stream.name)) add(stream.name);
    tiles.get(stream.name).told(stream);
    if (stream.name === large.name) large.told(stream, server.role);
  }
  find("empty").hidden = names.length > 0;
  arrange(names.length);
  const running = last.engine;
  const live = last.streams.filter((stream) => stateOf(stream) === "live").length;
  find("sums").textContent = say("sums", live, names.length, running.fps.toFixed(1));
  find("verdict").textContent = verdict(running.verdict);
  find("overload").textContent = overload(running.overload);
  find("overload").hidden = !running.overload?.step;
  const pill = find("device");
  const device = running.device;
  pill.className = `pill ${running.state === "running" ? (device.is_fallback ? "warn" : "good") : "bad"}`;
  const place = device.is_fallback ? say("fallback", device.device, device.wanted) : device.device;
  const name = [place, device.full_name, device.precision, device.hint && word("hint", device.hint)].filter(Boolean).join(" · ");
  pill.textContent = running.state === "running" ? name : word("engine", running.state);
  pill.title = [device.model, device.head, device.input_wh?.join("×"), running.error].filter(Boolean).join(" · ");
  engine.told(running, last.timeline);
  wish();
}

function add(name) {
  const tile = new Tile(name, () => large.open(name));
  tile.element.dataset.stream = name;
  tiles.set(name, tile);
  find("wall").append(tile.element);
  seen.observe(tile.element);
}

/** As many columns as make the grid about as wide as high, and tiles not too small to see. */
function arrange(count) {
  const wall = find("wall");
  const most = Math.max(1, Math.floor((wall.clientWidth + 12) / (MIN_TILE_PX + 12)));
  wall.style.setProperty("--columns", Math.min(most, Math.max(1, Math.ceil(Math.sqrt(count)))));
}

function look() {
  const nowMs = connection.clock.nowMs;
  const staleMs = 1000 * server.page.stale_after_s;
  for (const tile of tiles.values()) tile.look(nowMs, staleMs);
  if (large.name) large.screen.look(nowMs, staleMs, tiles.get(large.name)?.stream);
}

function login() {
  const dialog = find("login");
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("form").onsubmit = async (event) => {
    event.preventDefault();
    if (await enter(find("token").value)) {
      dialog.close();
      connection.connect();
    } else {
      find("login-error").textContent = say("wrong");
    }
  };
}

async function enter(token) {
  const answer = await fetch("/api/login", { method: "POST", body: token }).catch(() => null);
  return answer?.ok ?? false;
}

function keep(key, value) {
  try {
    localStorage.setItem(`keepbusy ${key}`, value);
  } catch {
    // Private windows keep nothing.
  }
}

find("language").onclick = () => {
  document.documentElement.lang = language() === "zh" ? "en" : "zh";
  keep("language", language());
  writeAll();
};
find("theme").onclick = () => {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  keep("theme", root.dataset.theme);
  write();
};
find("show-engine").onclick = () => {
  engine.show(!engine.isShown);
  write();
};
addEventListener("keydown", (event) => {
  if (event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey || large.name) return;
  if (event.key === "e") find("show-engine").click();
  const names = [...tiles.keys()];
  const here = names.indexOf(document.activeElement?.dataset?.stream);
  const columns = getComputedStyle(find("wall")).gridTemplateColumns.split(" ").length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  if (step && here >= 0 && names[here + step]) {
    event.preventDefault();
    tiles.get(names[here + step]).element.focus();
  }
});
addEventListener("visibilitychange", wish);
addEventListener("resize", () => setTimeout(write, 100));

function writeAll() {
  writeWords();
  find("language").textContent = say("language");
  find("language").lang = language() === "zh" ? "en" : "zh";
  write();
}

// An address with the token behind `#` enters at once; it never reaches a server's log, and is taken away.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  history.replaceState(null, "", location.pathname);
  await enter(given);
}
writeAll();
connection.connect();
setInterval(look, LOOK_MS);
