// A canvas to draw an image on with a pen, in the resolution of a model's images.
import { h } from "./kit.js";

const SIDE = 280;

// drawing({height, width, bright, onchange}) -> {element, clear, undo, put, pixels, brush, ink}; onchange is called
// with true at the end of a stroke, and with false while it goes on. Strokes are smooth: they are drawn in finer
// resolution and averaged over each of the model's pixels.
export function drawing({ height, width, bright, onchange }) {
  const fine = Math.max(1, Math.floor(SIDE / Math.max(height, width)));
  const canvas = h("canvas", {
    class: "pixels drawing",
    width: width * fine,
    height: height * fine,
    tabindex: "0",
    role: "application",
    "aria-label":
      "Drawing. Draw with a pointer; or move the pen with the arrow keys, and put it down and up with the space bar.",
  });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const small = document.createElement("canvas");
  [small.width, small.height] = [width, height];
  const ground = bright ? "#ffffff" : "#000000";
  let brush = Math.max(1, Math.round(Math.max(height, width) / 12));
  let ink = bright ? "#000000" : "#ffffff";
  let base = null;
  let strokes = [];
  let pen = { x: canvas.width / 2, y: canvas.height / 2, down: false };

  function redraw() {
    context.fillStyle = ground;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = false;
    if (base) context.drawImage(base, 0, 0, canvas.width, canvas.height);
    for (const stroke of strokes) line(stroke, 0);
  }

  // Draw a stroke from one of its points on.
  function line(stroke, from) {
    context.strokeStyle = stroke.ink;
    context.lineWidth = stroke.brush * fine;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    const points = stroke.points.slice(Math.max(0, from));
    context.moveTo(points[0].x, points[0].y);
    for (const point of points.length > 1 ? points.slice(1) : points) context.lineTo(point.x + 0.01, point.y);
    context.stroke();
  }

  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const inside = { x: event.clientX - box.left - canvas.clientLeft, y: event.clientY - box.top - canvas.clientTop };
    return { x: (inside.x / canvas.clientWidth) * canvas.width, y: (inside.y / canvas.clientHeight) * canvas.height };
  };

  function begin(point) {
    strokes.push({ ink, brush, points: [point] });
    line(strokes.at(-1), 0);
    onchange(false);
  }

  function extend(points) {
    const stroke = strokes.at(-1);
    stroke.points.push(...points);
    line(stroke, stroke.points.length - points.length - 1);
    onchange(false);
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    canvas.setPointerCapture(event.pointerId);
    begin(at(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) extend((event.getCoalescedEvents?.() ?? [event]).map(at));
  });
  canvas.addEventListener("lostpointercapture", () => onchange(true));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === " ") {
      event.preventDefault();
      pen.down = !pen.down;
      if (pen.down) begin({ x: pen.x, y: pen.y });
      else onchange(true);
    }
    if (!step) return;
    event.preventDefault();
    pen.x = Math.min(canvas.width, Math.max(0, pen.x + step[0] * fine));
    pen.y = Math.min(canvas.height, Math.max(0, pen.y + step[1] * fine));
    if (pen.down) extend([{ x: pen.x, y: pen.y }]);
  });

  // The image as a data address, in the model's resolution: the mean over each of its pixels.
  function pixels() {
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const mean = new ImageData(width, height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const sum = [0, 0, 0];
        for (let v = 0; v < fine; v++) {
          for (let u = 0; u < fine; u++) {
            const from = 4 * ((y * fine + v) * canvas.width + x * fine + u);
            for (let c = 0; c < 3; c++) sum[c] += data[from + c];
          }
        }
        for (let c = 0; c < 3; c++) mean.data[4 * (y * width + x) + c] = Math.round(sum[c] / (fine * fine));
        mean.data[4 * (y * width + x) + 3] = 255;
      }
    }
    small.getContext("2d").putImageData(mean, 0, 0);
    return small.toDataURL("image/png");
  }

  function clear() {
    [base, strokes] = [null, []];
    redraw();
    onchange(true);
  }

  function undo() {
    strokes.pop();
    redraw();
    onchange(true);
  }

  // Put an image below what is drawn from now on.
  function put(image) {
    [base, strokes] = [image, []];
    redraw();
  }

  redraw();
  return {
    element: canvas, clear, undo, put, pixels,
    brush: (value) => (value === undefined ? brush : (brush = value)),
    ink: (value) => (value === undefined ? ink : (ink = value)),
    empty: () => !base && !strokes.length,
  };
}
