// The viewer: one film, what lies over it, and everything that a reader does to it with a pointer,
// fingers or keys. Nothing of that asks the server; drawn shapes and steps to another film are sent.

const KEYS = {
  p: "previous", n: "next", o: "overlays", m: "mask", t: "tint", h: "heat", s: "split", i: "invert",
  "+": "closer", "=": "closer", "-": "farther", r: "reset", f: "full", b: "box", g: "polygon",
};
const TOGGLES = ["overlays", "mask", "tint", "heat", "split", "invert"];
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const EDITABLE = "input, textarea, select, [contenteditable=true]";

class Viewer {
  constructor(root) {
    this.box = root.querySelector(".viewer");
    this.canvas = root.querySelector("canvas.film");
    this.plain = root.querySelector("canvas.plain");
    this.busy = root.querySelector(".busy");
    this.said = root.querySelector(".said");
    this.place = new Place();
    this.shape = new Shape();
    this.state = { overlays: true, mask: true, tint: true, heat: false, split: false, invert: false };
    this.sliders = { width: 1, level: 0.5, opacity: 1, keys: true };
    this.pointers = new Map();
    this.listening = new AbortController();
    this.listen(root);
  }

  listen(root) {
    const signal = this.listening.signal;
    const on = (target, name, act, more) => target.addEventListener(name, act, { signal, ...more });
    for (const button of root.querySelectorAll("[data-do]")) {
      on(button, "click", () => this.act(button.dataset.do));
    }
    for (const input of root.querySelectorAll("[data-set]")) {
      on(input, "input", () => this.set(input));
    }
    on(window, "keydown", (event) => this.key(event), { capture: true });
    on(window, "pleura-film", (event) => event.detail === this.token && this.load());
    on(this.canvas, "pointerdown", (event) => this.down(event));
    on(this.canvas, "pointermove", (event) => this.moved(event));
    on(this.canvas, "pointerup", (event) => this.up(event));
    on(this.canvas, "pointercancel", (event) => this.up(event));
    on(this.canvas, "dblclick", () => this.shape.drawing && this.finish());
    on(this.canvas, "contextmenu", (event) => event.preventDefault());
    on(this.canvas, "wheel", (event) => this.wheel(event), { passive: false });
    const watch = new ResizeObserver(() => this.paint());
    watch.observe(this.canvas);
    signal.addEventListener("abort", () => watch.disconnect());
  }

  remove() {
    this.listening.abort();
  }

  /** The server has something new to show. */
  update({ data, setStateValue, setTriggerValue }) {
    Object.assign(this, { data, setStateValue, setTriggerValue });
    this.path = data.outlines.length ? pathOf(data.outlines) : null;
    this.canvas.setAttribute("aria-label", data.label);
    this.box.querySelector(".draw").hidden = !data.drawable;
    if (data.token !== this.token) {
      Object.assign(this, { token: data.token, film: null });
      delete this.box.dataset.shown;
      this.busy.hidden = false;
      this.load();
    }
    if (data.token !== this.shapeOf) {
      this.shape.show(data.drawing);
      this.shapeOf = data.token;
    }
    this.box.dataset.outlines = data.outlines.length;
    this.paint();
  }

  async load() {
    const token = this.token;
    const found = window.pleuraFilms?.get(token);
    if (!found) return; // it is on its way
    try {
      const film = new Film(await found.decoded);
      if (token !== this.token) return;
      this.film = film;
    } catch (error) {
      this.busy.textContent = "This browser cannot show the film: it lacks what browsers have since 2023.";
      throw error;
    }
    this.place.reset(this.film.rows, this.film.columns);
    Object.assign(this.sliders, { width: 1, level: 0.5 });
    this.busy.hidden = true;
    this.paint();
    this.box.dataset.shown = token;
  }

  paint() {
    this.showState();
    if (!this.film) return;
    const { level, width, opacity } = this.sliders;
    const { overlays, mask, tint, heat, split, invert } = this.state;
    this.film.paint(level, width, invert);
    const over = { opacity, tint, heat: overlays && heat, path: overlays && mask ? this.path : null };
    const shape = overlays || this.shape.drawing ? this.shape : null;
    paintCanvas(this.canvas, this.film, this.place, { ...over, shape });
    if (split) paintCanvas(this.plain, this.film, this.place, null);
  }

  showState() {
    for (const name of TOGGLES) {
      const button = this.box.querySelector(`[data-do=${name}]`);
      button.setAttribute("aria-pressed", String(this.state[name]));
    }
    for (const mode of ["box", "polygon"]) {
      const pressed = this.shape.drawing && this.shape.mode === mode;
      this.box.querySelector(`[data-do=${mode}]`).setAttribute("aria-pressed", String(pressed));
    }
    this.box.querySelector("[data-do=finish]").disabled = !this.shape.drawing;
    this.box.querySelector("[data-do=erase]").disabled = !this.shape.points.length;
    this.box.querySelector("[data-do=previous]").disabled = !this.data.previous;
    this.box.querySelector("[data-do=next]").disabled = !this.data.next;
    for (const input of this.box.querySelectorAll("[data-set]")) {
      if (input.type === "checkbox") input.checked = this.sliders[input.dataset.set];
      else input.value = this.sliders[input.dataset.set];
    }
    this.box.querySelector("[data-do=heat]").disabled = Boolean(this.film) && !this.film.heat;
    this.plain.hidden = !this.state.split;
    this.box.classList.toggle("split", this.state.split);
    this.canvas.classList.toggle("near", this.place.zoom > 1);
    this.canvas.classList.toggle("drawing", this.shape.drawing);
    this.box.dataset.zoom = this.place.zoom.toFixed(2);
  }

  say(text) {
    this.said.textContent = text;
  }

  act(name) {
    if (TOGGLES.includes(name)) {
      this.state[name] = !this.state[name];
      this.say(`${name} ${this.state[name] ? "on" : "off"}`);
    } else if (name === "previous" || name === "next") {
      if (this.data[name]) this.setTriggerValue("step", this.data[name]);
    } else if (name === "closer" || name === "farther") {
      this.place.zoomAt(this.canvas, name === "closer" ? 1.25 : 0.8);
    } else if (name === "reset") {
      if (this.film) this.place.reset(this.film.rows, this.film.columns);
      Object.assign(this.sliders, { width: 1, level: 0.5, opacity: 1 });
      this.state.invert = false;
    } else if (name === "full") {
      if (document.fullscreenElement) document.exitFullscreen();
      else this.box.requestFullscreen?.();
    } else if (name === "box" || name === "polygon") {
      if (!this.data.drawable) return;
      this.shape.begin(name, [this.place.x, this.place.y]);
      this.canvas.focus();
      this.say(`Drawing a ${name}`);
    } else if (name === "finish") {
      this.finish();
    } else if (name === "erase") {
      this.shape.erase();
      this.setStateValue("drawing", { token: this.token, points: null });
    }
    this.paint();
  }

  finish() {
    if (!this.shape.finish()) return;
    const points = this.shape.points.map(([x, y]) => [x, y]);
    this.setStateValue("drawing", { token: this.token, points });
    this.say("The shape is closed");
    this.paint();
  }

  set(input) {
    const value = input.type === "checkbox" ? input.checked : Number(input.value);
    this.sliders[input.dataset.set] = value;
    this.paint();
  }

  key(event) {
    const target = event.composedPath()[0];
    const inside = event.composedPath().includes(this.box);
    const typing = target instanceof Element && target.matches(EDITABLE) && target.type !== "range";
    if (event.ctrlKey || event.metaKey || event.altKey || (typing && target.type !== "checkbox")) return;
    const onFilm = target === this.canvas;
    let done = onFilm && this.filmKey(event);
    const name = KEYS[event.key.toLowerCase()];
    if (!done && name && (inside || this.sliders.keys)) {
      this.act(name);
      done = true;
    }
    if (!done) return;
    event.preventDefault();
    event.stopImmediatePropagation(); // Streamlit has letters of its own
  }

  /** Keys that mean something only while the film has the focus; true when this was one. */
  filmKey(event) {
    const arrow = ARROWS[event.key];
    const scale = this.place.scale(this.canvas);
    const step = (event.shiftKey ? 60 : 12) / scale;
    if (arrow && this.shape.drawing) {
      this.shape.moveCross(arrow[0] * step, arrow[1] * step, this.place.columns, this.place.rows);
    } else if (arrow) {
      this.place.move(arrow[0] * 4 * step, arrow[1] * 4 * step);
    } else if (event.key === "Enter" && this.shape.drawing) {
      if (this.shape.corner(10 / scale)) this.finish();
    } else if (event.key === "Escape" && this.shape.drawing) {
      this.shape.erase();
    } else if (event.key === "Delete" && this.shape.points.length) {
      this.act("erase");
    } else {
      return false;
    }
    this.paint();
    return true;
  }

  at(event) {
    const ratio = window.devicePixelRatio || 1;
    const bounds = this.canvas.getBoundingClientRect();
    return [(event.clientX - bounds.left) * ratio, (event.clientY - bounds.top) * ratio];
  }

  down(event) {
    this.canvas.focus();
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.at(event));
    if (!this.shape.drawing) return;
    this.shape.cross = this.place.toFilm(this.canvas, ...this.at(event));
    if (this.shape.corner(10 / this.place.scale(this.canvas))) this.finish();
    this.paint();
  }

  moved(event) {
    const [x, y] = this.at(event);
    if (this.shape.drawing) {
      const [filmX, filmY] = this.place.toFilm(this.canvas, x, y);
      const [crossX, crossY] = this.shape.cross;
      this.shape.moveCross(filmX - crossX, filmY - crossY, this.place.columns, this.place.rows);
      this.paint();
      return;
    }
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const scale = this.place.scale(this.canvas);
    const [dx, dy] = [x - before[0], y - before[1]];
    if (this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      const distance = (at) => Math.hypot(at[0] - other[0], at[1] - other[1]) || 1;
      this.place.zoomAt(this.canvas, distance([x, y]) / distance(before), (x + other[0]) / 2, (y + other[1]) / 2);
    } else if (event.shiftKey || event.buttons === 2) {
      const clamp = (value, low) => Math.min(1, Math.max(low, value));
      this.sliders.width = clamp(this.sliders.width + dx / this.canvas.width, 0.02);
      this.sliders.level = clamp(this.sliders.level + dy / this.canvas.height, 0);
    } else {
      this.place.move(-dx / scale, -dy / scale);
    }
    this.pointers.set(event.pointerId, [x, y]);
    this.paint();
  }

  up(event) {
    this.pointers.delete(event.pointerId);
    if (this.shape.drawing && this.shape.mode === "box" && this.shape.points.length === 4) this.finish();
    this.paint();
  }

  wheel(event) {
    if (this.canvas.getRootNode().activeElement !== this.canvas) return; // the page scrolls
    event.preventDefault();
    this.place.zoomAt(this.canvas, Math.exp(-event.deltaY / 400), ...this.at(event));
    this.paint();
  }
}

export default function (component) {
  const root = component.parentElement;
  const viewer = (root.pleuraViewer ??= new Viewer(root));
  viewer.update(component);
  return () => viewer.remove();
}
