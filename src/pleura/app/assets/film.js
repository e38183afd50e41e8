// Keeps the films that are looked at, decoded, for the viewer: window.pleuraFilms, by token.
// It shows nothing. What is drawn over a film comes apart, so that a film is sent once.

const films = (window.pleuraFilms ??= new Map());

/** Undo the folding and the differences of pleura.app.rendering.film. */
function unfold(bytes, rows, columns) {
  const count = rows * columns;
  const values = new Uint16Array(count);
  for (let row = 0, at = 0; row < rows; row++) {
    let value = 0;
    for (const end = at + columns; at < end; at++) {
      const folded = (bytes[at] << 8) | bytes[count + at];
      value += (folded >>> 1) ^ -(folded & 1);
      values[at] = value;
    }
  }
  return values;
}

async function decode(header, packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  return unfold(bytes, header.rows, header.columns);
}

function open(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const length = view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(data.subarray(8, 8 + length)));
  const heatLength = header.heat ? header.heat[0] * header.heat[1] : 0;
  const heatEnd = 8 + length + heatLength;
  return { header, heat: data.slice(8 + length, heatEnd), packed: data.subarray(heatEnd) };
}

export default function ({ data, parentElement }) {
  const { header, heat, packed } = open(data);
  const { token } = header;
  const forget = () => {
    const last = parentElement.pleuraToken;
    if (films.get(last)?.owner === parentElement) films.delete(last);
  };
  if (parentElement.pleuraToken !== token) forget();
  parentElement.pleuraToken = token;
  const known = films.get(token);
  if (known) {
    // Streamlit may build this element anew before it removes the old one, which must not take
    // the film along.
    known.owner = parentElement;
    return forget;
  }
  const decoded = decode(header, packed.slice()).then((grey) => ({ ...header, grey, heatMap: heat }));
  films.set(token, { decoded, owner: parentElement });
  window.dispatchEvent(new CustomEvent("pleura-film", { detail: token }));
  return forget;
}
