"""What the pixels say against judging a radiograph: a small network looks at the picture first."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleura.engines import open_network
from pleura.errors import ModelError
from pleura.masks import Letterbox
from pleura.quality.spec import GateSpec, Kind

_OUTPUTS = ("kind", "turn", "inverted")


@dataclass(frozen=True, slots=True)
class PictureScores:
    """What the gate's network says of one picture.

    Attributes:
        kinds: probability of each kind; they add up to 1.
        turns: probabilities that an upright picture was turned to the left by 0, 1, 2 and 3
            quarters; they add up to 1 and mean something for frontal chest radiographs only.
        inverted: probability that black and white are exchanged.
    """

    kinds: dict[Kind, float]
    turns: tuple[float, float, float, float]
    inverted: float


class PictureGate:
    """The gate's network, loaded once.

    Args:
        folder: the model folder.
        spec: of the gate, from the model's manifest.
        threads: of one network run.

    Raises:
        ModelError: the file is missing, its SHA-256 differs from the manifest's, or it is not the
            network that the manifest describes.
    """

    def __init__(self, folder: Path, spec: GateSpec, threads: int = 1) -> None:
        self.spec = spec
        self._session = _load(folder / spec.file, spec, threads)

    def look(self, pixels: NDArray[np.float32]) -> PictureScores:
        """Judge one picture.

        Args:
            pixels: float32, (rows, columns), in [0, 1].

        Raises:
            ModelError: the network gave no finite numbers.
        """
        rows, columns = pixels.shape
        grid = Letterbox(rows, columns, self.spec.size).apply(pixels)
        image = (grid - np.float32(self.spec.mean)) / np.float32(self.spec.std)
        kind, turn, inverted = self._session.run(_OUTPUTS, {"image": image[None, None]})
        numbers = np.concatenate([kind[0], turn[0], inverted[0]])
        if not np.isfinite(numbers).all():
            raise ModelError("The gate's network gave no finite numbers.")
        first, second, third, fourth = _softmax(turn[0])
        return PictureScores(
            kinds=dict(zip(Kind, _softmax(kind[0]), strict=True)),
            turns=(first, second, third, fourth),
            inverted=float(1 / (1 + np.exp(-np.float64(inverted[0, 0])))),
        )


def _softmax(logits: NDArray[np.float32]) -> list[float]:
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return [float(value) for value in powers / powers.sum()]


def _load(path: Path, spec: GateSpec, threads: int) -> Any:
    session = open_network(path, spec.sha256, threads)
    names = [node.name for node in session.get_outputs()]
    if [node.name for node in session.get_inputs()] != ["image"] or names != list(_OUTPUTS):
        raise ModelError(f"{path} must take 'image' and give 'kind', 'turn' and 'inverted'.")
    return session
