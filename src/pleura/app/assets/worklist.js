// The list of films. It is told what to show, and tells which one was chosen.

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function picture(entry) {
  if (!entry.thumbnail) return element("span", "none", "–");
  const image = element("img", "");
  image.src = entry.thumbnail;
  image.alt = "";
  return image;
}

function row(entry, open) {
  const button = element("button", entry.kind);
  button.type = "button";
  button.dataset.id = entry.id;
  button.setAttribute("aria-current", String(entry.open));
  const words = element("span", "words");
  words.append(element("span", "label", entry.label), element("span", "name line", entry.name));
  words.append(element("span", "line", entry.detail));
  if (entry.share !== null) {
    const track = element("span", "track");
    const bar = element("span", "bar");
    bar.style.width = `${100 * entry.share}%`;
    track.append(bar);
    words.append(track);
  }
  button.append(picture(entry), words);
  if (!entry.open) button.addEventListener("click", () => open(entry.id));
  const item = document.createElement("li");
  item.append(button);
  return item;
}

/** Up and down move the focus from film to film. */
function walk(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const buttons = [...event.currentTarget.querySelectorAll("button")];
  const at = buttons.indexOf(event.target.closest("button"));
  buttons[Math.min(buttons.length - 1, Math.max(0, at + step))]?.focus();
  event.preventDefault();
}

export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector(".list");
  const focused = parentElement.activeElement?.dataset?.id;
  list.onkeydown = walk;
  list.replaceChildren(...data.entries.map((entry) => row(entry, (id) => setTriggerValue("open", id))));
  list.dataset.count = data.entries.length;
  if (focused) list.querySelector(`[data-id="${focused}"]`)?.focus();
  const current = list.querySelector("[aria-current=true]");
  if (current && parentElement.pleuraOpen !== current.dataset.id) {
    parentElement.pleuraOpen = current.dataset.id;
    list.scrollTop = Math.max(0, current.offsetTop - list.clientHeight / 2);
  }
}
