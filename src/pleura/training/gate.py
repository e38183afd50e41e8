"""Training of the input gate's network: which kind of picture, how turned, inverted or not.

Frontal chest radiographs are plenty; what is not one is scarce, so that much of it is made
(`pleura.training.pictures`), and what is real is drawn often and varied much.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from pleura.models.encoders import MobileNetV2
from pleura.quality.picture import PictureScores
from pleura.quality.spec import Kind
from pleura.training.pictures import Picture, cut_off, photographed, varied

logger = logging.getLogger(__name__)

SIDE, MEAN, STD = 128, 0.449, 0.226
_LAYERS = 14  # of MobileNetV2, up to stride 16
_FEATURES = 96
_TURNS = 4
_UNKNOWN = -1
_SHARES = {  # of the draws
    Kind.FRONTAL: 0.58,
    Kind.CUT_OFF: 0.08,
    Kind.PHOTOGRAPHED: 0.06,
    Kind.LATERAL: 0.10,
    Kind.OTHER_PART: 0.08,
    Kind.NO_RADIOGRAPH: 0.10,
}
_MADE = (Kind.CUT_OFF, Kind.PHOTOGRAPHED)


class GateNetwork(nn.Module):
    """The first fourteen layers of MobileNetV2, mean and maximum over the places, three heads."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.features = MobileNetV2().features[:_LAYERS]
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.Linear(2 * _FEATURES, len(Kind) + _TURNS + 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (n, 1, side, side) to the logits of kinds (n, 6), turns (n, 4), inversion (n, 1)."""
        features = self.features(image)
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)
        logits = self.heads(self.dropout(pooled))
        kind, turn, inverted = torch.split(logits, [len(Kind), _TURNS, 1], dim=1)
        return kind, turn, inverted


def load_encoder(network: GateNetwork, weights_folder: Path) -> None:
    """Start from MobileNetV2's ImageNet weights, for one grey channel."""
    encoder = MobileNetV2()
    stored = load_file(weights_folder / f"{encoder.weights_file}.safetensors")
    state = encoder.from_imagenet({k: v.float() for k, v in stored.items()}, MEAN, STD)
    own = network.state_dict()
    network.load_state_dict(own | {key: value for key, value in state.items() if key in own})


@dataclass(frozen=True, eq=False)
class GatePictures:
    """What the gate learns from.

    Attributes:
        frontal: frontal chest radiographs, uint8, (n, side, side), upright, bone bright.
        others: pictures of something else, uint8, (m, side, side).
        kinds: what each of `others` shows, m of them.
    """

    frontal: NDArray[np.uint8]
    others: NDArray[np.uint8]
    kinds: tuple[Kind, ...]


@dataclass(frozen=True, eq=False)
class GateBatch:
    """Pictures and what is true of them: image (n, 1, side, side); kind, turn, inverted (n,).

    A turn or an inversion of -1 is unknown.
    """

    image: Tensor
    kind: Tensor
    turn: Tensor
    inverted: Tensor


def batches(pictures: GatePictures, size: int, rng: np.random.Generator) -> Iterator[GateBatch]:
    """Random batches without an end."""
    places = {
        kind: np.flatnonzero([own == kind for own in pictures.kinds])
        for kind in Kind
        if kind in pictures.kinds
    }
    drawn = [kind for kind in Kind if kind is Kind.FRONTAL or kind in _MADE or kind in places]
    shares = np.array([_SHARES[kind] for kind in drawn])
    while True:
        chosen = rng.choice(len(drawn), size, p=shares / shares.sum())
        examples = [_example(drawn[i], pictures, places, rng) for i in chosen]
        images, turns, inverted = zip(*examples, strict=True)
        yield GateBatch(
            as_input(list(images)),
            torch.tensor([list(Kind).index(drawn[i]) for i in chosen]),
            torch.tensor(turns),
            torch.tensor(inverted),
        )


def _example(
    kind: Kind,
    pictures: GatePictures,
    places: dict[Kind, NDArray[np.int64]],
    rng: np.random.Generator,
) -> tuple[Picture, int, int]:
    """A picture of a kind, its quarter turns to the left, and whether it is inverted."""
    if kind in places:
        picture = varied(pictures.others[rng.choice(places[kind])], rng, (0.8, 1.35))
        picture = _turned(picture, int(rng.integers(1, _TURNS)) if rng.random() < 0.3 else 0)
        return picture, _UNKNOWN, _UNKNOWN
    picture = pictures.frontal[rng.integers(len(pictures.frontal))]
    if kind is Kind.CUT_OFF:
        picture = cut_off(picture, rng)
    elif kind is Kind.PHOTOGRAPHED:
        picture = photographed(picture, rng)
    picture = varied(picture, rng, (0.85, 1.2))
    turn = int(rng.integers(1, _TURNS)) if rng.random() < 0.5 else 0
    inverted = int(rng.random() < 0.3)
    picture = _turned(255 - picture if inverted else picture, turn)
    return picture, turn if kind is Kind.FRONTAL else _UNKNOWN, inverted


def _turned(picture: Picture, quarters: int) -> Picture:
    return np.ascontiguousarray(np.rot90(picture, quarters))


def as_input(pictures: list[Picture] | NDArray[np.uint8]) -> Tensor:
    """uint8 pictures of any side to the network's input, (n, 1, SIDE, SIDE)."""
    small = [cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for p in pictures]
    pixels = torch.from_numpy(np.stack(small)).float() / 255
    return ((pixels - MEAN) / STD)[:, None]


def loss_of(logits: tuple[Tensor, Tensor, Tensor], batch: GateBatch) -> Tensor:
    """Cross-entropy of the three heads, each over the pictures for which it is known."""
    kind, turn, inverted = (part.float() for part in logits)
    loss = functional.cross_entropy(kind, batch.kind, label_smoothing=0.02)
    known = batch.turn != _UNKNOWN
    if known.any():
        loss = loss + functional.cross_entropy(turn[known], batch.turn[known])
    known = batch.inverted != _UNKNOWN
    if known.any():
        truth = batch.inverted[known].float()
        loss = loss + functional.binary_cross_entropy_with_logits(inverted[known, 0], truth)
    return loss


def train_gate(
    pictures: GatePictures,
    weights_folder: Path | None,
    steps: int,
    seed: int = 0,
    batch_size: int = 32,
    learning_rate: float = 2e-3,
) -> GateNetwork:
    """Train the network; AdamW, one cycle of the learning rate.

    Args:
        pictures: to learn from.
        weights_folder: with MobileNetV2's ImageNet weights; None for a random start.
        steps: of the optimiser.
        seed: of everything random.
        batch_size: pictures a step.
        learning_rate: peak.

    Returns:
        The network, in evaluation mode.
    """
    torch.manual_seed(seed)
    network = GateNetwork()
    if weights_folder is not None:
        load_encoder(network, weights_folder)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, learning_rate, total_steps=steps, pct_start=0.1
    )
    draws = batches(pictures, batch_size, np.random.default_rng(seed))
    network.train()
    for step in range(steps):
        batch = next(draws)
        image = batch.image.contiguous(memory_format=torch.channels_last)
        loss = loss_of(network(image), batch)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if step % 100 == 99:
            logger.info("gate: step %d of %d, loss %.3f", step + 1, steps, loss.item())
    network.eval()
    return network


@torch.inference_mode()
def scores(
    network: GateNetwork, pictures: list[Picture] | NDArray[np.uint8]
) -> list[PictureScores]:
    """What the network says of each picture."""
    said: list[PictureScores] = []
    for start in range(0, len(pictures), 64):
        kind, turn, inverted = network(as_input(pictures[start : start + 64]))
        for kinds, turns, black in zip(
            kind.softmax(1).tolist(),
            turn.softmax(1).tolist(),
            inverted.sigmoid().tolist(),
            strict=True,
        ):
            said.append(PictureScores(dict(zip(Kind, kinds, strict=True)), tuple(turns), black[0]))
    return said
