// The one WebSocket: connects again, knows the server's clock, and tells it which pictures are wanted.

const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 10_000;
const SAMPLES = 120;

/** The server's monotonic clock, by the quickest of the last messages: none arrives before it was sent. */
class Clock {
  #samples = [];

  told(serverMs) {
    this.#samples.push(serverMs - performance.now());
    if (this.#samples.length > SAMPLES) this.#samples.shift();
  }

  /** Another server, or the same one started anew, has another clock. */
  forget() {
    this.#samples = [];
  }

  get nowMs() {
    return this.#samples.length ? performance.now() + Math.max(...this.#samples) : Number.NaN;
  }
}

export class Connection {
  clock = new Clock();
  #socket = null;
  #waitMs = FIRST_WAIT_MS;
  #view = null;
  #on;
  #decoder = new TextDecoder();

  /** @param on What is done: `hello`, `state`, `picture` (which returns a promise), `open`, `lost`, `refused`. */
  constructor(on) {
    this.#on = on;
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = (this.#socket = new WebSocket(`${scheme}://${location.host}/api/live`));
    socket.binaryType = "arraybuffer";
    let wasOpen = false;
    const newest = new Map();
    socket.onopen = () => {
      wasOpen = true;
      this.#waitMs = FIRST_WAIT_MS;
      this.clock.forget();
      this.#on.open();
      if (this.#view) socket.send(this.#view);
    };
    socket.onmessage = (event) => {
      if (typeof event.data === "string") this.#text(JSON.parse(event.data));
      else this.#picture(socket, event.data, newest);
    };
    socket.onclose = async () => {
      this.#on.lost();
      // A browser does not say why a WebSocket was refused: the API does.
      if (!wasOpen && (await isRefused())) return this.#on.refused();
      setTimeout(() => this.connect(), this.#waitMs * (0.75 + Math.random() / 2));
      this.#waitMs = Math.min(2 * this.#waitMs, MAX_WAIT_MS);
    };
  }

  /** Say which pictures are wanted: names of streams → widths in pixels. */
  show(tiles, engine) {
    const view = JSON.stringify({ type: "view", tiles, engine });
    if (view === this.#view) return;
    this.#view = view;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(view);
  }

  #text(told) {
    if (told.now_ms) this.clock.told(told.now_ms);
    if (told.type === "hello") this.#on.hello(told);
    else if (told.type === "state") this.#on.state(told);
  }

  async #picture(socket, data, newest) {
    const size = new DataView(data).getUint32(0, true);
    const head = JSON.parse(this.#decoder.decode(new Uint8Array(data, 4, size)));
    this.clock.told(head.sent_ms);
    try {
      const image = await createImageBitmap(new Blob([new Uint8Array(data, 4 + size)], { type: "image/jpeg" }));
      // Two may be decoded at once, and the newer one first.
      if (head.n > (newest.get(head.stream) ?? 0)) {
        newest.set(head.stream, head.n);
        this.#on.picture(head, image);
      }
      image.close();
    } finally {
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: "ack", n: head.n }));
    }
  }
}

async function isRefused() {
  try {
    return (await fetch("/api/server")).status === 401;
  } catch {
    return false;
  }
}
