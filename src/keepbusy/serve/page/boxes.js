// A frame with what was found on it: picture and boxes come together, and are drawn together.

const COLOURS = [
  "#ff8a3d", "#4fc3f7", "#ffd54f", "#81c784", "#ba68c8", "#f06292",
  "#4db6ac", "#aed581", "#7986cb", "#ff8a80", "#90caf9", "#e6ee9c",
];

/** Draw a frame on a canvas: its boxes are in the pixels of the frame, whatever size the picture has. */
export function drawFrame(canvas, image, head, classes) {
  if (canvas.width !== image.width || canvas.height !== image.height) {
    canvas.width = image.width;
    canvas.height = image.height;
  }
  const context = canvas.getContext("2d", { alpha: false });
  context.drawImage(image, 0, 0);
  const scale = image.width / head.width;
  const unit = Math.max(1, image.width / (canvas.clientWidth || image.width)); // One pixel of the page.
  context.lineWidth = 1.6 * unit;
  context.font = `600 ${Math.round(10.5 * unit)}px system-ui, sans-serif`;
  context.textBaseline = "bottom";
  // The best come first, and are drawn last: their labels lie on top.
  for (let number = head.boxes.length - 1; number >= 0; number--) {
    const [left, top, right, bottom] = head.boxes[number];
    const id = head.classes[number];
    const colour = COLOURS[id % COLOURS.length];
    const x = left * scale;
    const y = top * scale;
    const width = (right - left) * scale;
    context.strokeStyle = colour;
    context.strokeRect(x, y, width, (bottom - top) * scale);
    if (width < 18 * unit) continue; // Its label would hide others.
    const track = head.tracks ? ` #${head.tracks[number]}` : "";
    const text = `${classes[id] ?? id}${track} ${Math.round(head.scores[number] * 100)}`;
    const size = context.measureText(text).width + 6 * unit;
    const height = 14 * unit;
    const labelTop = Math.max(0, y - height);
    context.fillStyle = colour;
    context.fillRect(x, labelTop, size, height);
    context.fillStyle = "#10131a";
    context.fillText(text, x + 3 * unit, labelTop + height - 1.5 * unit);
  }
}
