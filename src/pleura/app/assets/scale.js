// The probability of a film between the operating points, and the choice among them. Moving the
// threshold asks the server, which decides; a slow line gets at most one question at a time.

const PAUSE = 120; // milliseconds between two questions while the handle is dragged

function mark(point, chosen, raised) {
  const made = document.createElement("div");
  made.className = `mark${chosen ? " chosen" : ""}${raised ? " raised" : ""}`;
  made.style.left = `${100 * point.threshold}%`;
  const name = document.createElement("span");
  name.textContent = point.name;
  made.append(name);
  return made;
}

function choice(point, chosen, choose) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "radio", name: "point", value: point.name });
  input.checked = chosen;
  input.addEventListener("change", () => choose({ point: point.name, tried: null }));
  label.append(input, `${point.name} (≥ ${point.threshold.toFixed(3)})`);
  return label;
}

class Scale {
  constructor(root) {
    this.choices = root.querySelector(".choices");
    this.marks = root.querySelector(".marks");
    this.trial = root.querySelector(".try");
    this.range = root.querySelector("input[type=range]");
    this.output = root.querySelector("output");
    this.range.addEventListener("input", () => this.moved());
    this.timer = null;
  }

  update({ data, setTriggerValue }) {
    Object.assign(this, { data, setTriggerValue });
    const drawn = JSON.stringify([data.points, data.chosen, data.tried !== null]);
    if (drawn !== this.drawn) this.drawChoices();
    this.drawn = drawn;
    this.drawMarks();
    this.trial.hidden = !data.switchable;
    if (this.timer === null) this.show(data.tried ?? this.threshold());
  }

  threshold() {
    return this.data.points.find((point) => point.name === this.data.chosen).threshold;
  }

  drawChoices() {
    const { points, chosen, tried } = this.data;
    const focused = this.choices.querySelector(":focus")?.value;
    const choose = (value) => this.setTriggerValue("choose", value);
    this.choices.replaceChildren(
      ...points.map((point) => choice(point, tried === null && point.name === chosen, choose)),
    );
    if (focused) this.choices.querySelector(`[value="${CSS.escape(focused)}"]`)?.focus();
  }

  drawMarks() {
    const { points, chosen, tried, probability } = this.data;
    const drawn = points.map((point, at) => mark(point, tried === null && point.name === chosen, at % 2));
    if (tried !== null) drawn.push(mark({ name: "tried", threshold: tried }, true, true));
    if (probability !== null) {
      const here = document.createElement("div");
      here.className = "here";
      here.style.left = `${100 * probability}%`;
      drawn.push(here);
    }
    this.marks.replaceChildren(...drawn);
  }

  show(value) {
    this.range.value = value;
    this.output.textContent = Number(value).toFixed(3);
  }

  moved() {
    this.show(this.range.value);
    if (this.timer === null) this.ask();
  }

  ask() {
    const asked = this.range.value;
    this.setTriggerValue("choose", { point: this.data.chosen, tried: Number(asked) });
    this.timer = setTimeout(() => {
      this.timer = null;
      if (this.range.value !== asked) this.ask();
    }, PAUSE);
  }
}

export default function (component) {
  const root = component.parentElement;
  const scale = (root.pleuraScale ??= new Scale(root));
  scale.update(component);
}
