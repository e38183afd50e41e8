// How a film and what lies over it become pixels. HEAT, the colours of the heat map, comes before.

const MASK_COLOUR = "255, 165, 0";
const DRAWN_COLOUR = "80, 200, 255";
const TINT = 0.35;
const HEAT_OPACITY = 0.6; // the pleural line stays visible where the network is sure

/** A decoded film: its grey values behind a window, and its heat map. */
class Film {
  constructor(decoded) {
    Object.assign(this, decoded);
    this.canvas = new OffscreenCanvas(this.columns, this.rows);
    this.shown = "";
    this.heatCanvas = this.heat ? this.paintHeat() : null;
  }

  paintHeat() {
    const [rows, columns] = this.heat;
    const image = new ImageData(columns, rows);
    this.heatMap.forEach((value, at) => {
      const [red, green, blue] = HEAT[value];
      image.data.set([red, green, blue, Math.round(HEAT_OPACITY * value)], 4 * at);
    });
    const canvas = new OffscreenCanvas(columns, rows);
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }

  /** Grey values from level - width / 2 to level + width / 2 become black to white. */
  paint(level, width, inverted) {
    const wanted = `${level} ${width} ${inverted}`;
    if (wanted === this.shown) return;
    this.shown = wanted;
    const top = 2 ** this.bits - 1;
    const colours = new Uint32Array(top + 1);
    for (let value = 0; value <= top; value++) {
      let grey = Math.min(1, Math.max(0, (value / top - level) / width + 0.5));
      if (inverted) grey = 1 - grey;
      const byte = Math.round(255 * grey);
      colours[value] = (0xff000000 | (byte << 16) | (byte << 8) | byte) >>> 0;
    }
    const image = new ImageData(this.columns, this.rows);
    const pixels = new Uint32Array(image.data.buffer);
    const grey = this.grey;
    for (let at = 0; at < grey.length; at++) pixels[at] = colours[grey[at]];
    this.canvas.getContext("2d").putImageData(image, 0, 0);
  }
}

/** Where the film lies on a canvas: what is in its middle, and how large a pixel of the film is. */
class Place {
  constructor() {
    this.reset(1, 1);
  }

  reset(rows, columns) {
    Object.assign(this, { rows, columns, x: columns / 2, y: rows / 2, zoom: 1 });
  }

  scale(canvas) {
    return this.zoom * Math.min(canvas.width / this.columns, canvas.height / this.rows);
  }

  toFilm(canvas, x, y) {
    const scale = this.scale(canvas);
    return [this.x + (x - canvas.width / 2) / scale, this.y + (y - canvas.height / 2) / scale];
  }

  move(dx, dy) {
    this.x = Math.min(this.columns, Math.max(0, this.x + dx));
    this.y = Math.min(this.rows, Math.max(0, this.y + dy));
  }

  /** Zoom so that what lies under a point of the canvas stays there. */
  zoomAt(canvas, factor, x = canvas.width / 2, y = canvas.height / 2) {
    const [filmX, filmY] = this.toFilm(canvas, x, y);
    this.zoom = Math.min(32, Math.max(1, this.zoom * factor));
    const [newX, newY] = this.toFilm(canvas, x, y);
    this.move(filmX - newX, filmY - newY);
    if (this.zoom === 1) [this.x, this.y] = [this.columns / 2, this.rows / 2];
  }
}

function pathOf(outlines) {
  const path = new Path2D();
  for (const outline of outlines) {
    for (let at = 0; at < outline.length; at += 2) {
      path[at ? "lineTo" : "moveTo"](outline[at] + 0.5, outline[at + 1] + 0.5);
    }
    path.closePath();
  }
  return path;
}

function paintShape(context, points, closed, cross, scale) {
  context.strokeStyle = `rgb(${DRAWN_COLOUR})`;
  context.lineWidth = 2 / scale;
  context.beginPath();
  points.forEach(([x, y], at) => context[at ? "lineTo" : "moveTo"](x, y));
  if (closed) context.closePath();
  else if (cross && points.length) context.lineTo(...cross);
  context.stroke();
  if (!cross || closed) return;
  const arm = 10 / scale;
  context.beginPath();
  context.moveTo(cross[0] - arm, cross[1]);
  context.lineTo(cross[0] + arm, cross[1]);
  context.moveTo(cross[0], cross[1] - arm);
  context.lineTo(cross[0], cross[1] + arm);
  context.stroke();
}

/** Paint the film, and over it what `over` names; nothing else without it. */
function paintCanvas(canvas, film, place, over) {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (!width || !height) return;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const scale = place.scale(canvas);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = "#000";
  context.fillRect(0, 0, width, height);
  context.setTransform(scale, 0, 0, scale, width / 2 - scale * place.x, height / 2 - scale * place.y);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(film.canvas, 0, 0);
  if (!over) return;
  if (over.heat && film.heatCanvas) {
    context.globalAlpha = over.opacity;
    context.drawImage(film.heatCanvas, 0, 0, film.columns, film.rows);
    context.globalAlpha = 1;
  }
  if (over.path) {
    if (over.tint) {
      context.fillStyle = `rgba(${MASK_COLOUR}, ${TINT * over.opacity})`;
      context.fill(over.path, "evenodd");
    }
    context.strokeStyle = `rgba(${MASK_COLOUR}, ${over.opacity})`;
    context.lineWidth = (2 * ratio) / scale;
    context.stroke(over.path);
  }
  if (over.shape) paintShape(context, over.shape.points, over.shape.closed, over.shape.cross, scale / ratio);
}
