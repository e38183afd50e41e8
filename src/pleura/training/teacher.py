"""Self-training: what a teacher says of images without a label, as probabilities to learn from.

Soft targets of a teacher on unlabelled images, learned under noise, taught better students than
labels alone (Xie et al., "Self-training with Noisy Student", CVPR 2020).
"""

import hashlib
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pleura.data.once import one_builder
from pleura.errors import DataError, ModelError
from pleura.inference import Predictor
from pleura.inference.manifest import MANIFEST_NAME, sha256_of
from pleura.inference.preprocess import prepare
from pleura.quality import GateSettings, Strictness
from pleura.training.checkpoint import load_network
from pleura.training.config import load_config
from pleura.training.examples import as_radiograph
from pleura.training.record import BEST_NAME, CHECKPOINTS, CONFIG_NAME, LAST_NAME

logger = logging.getLogger(__name__)

MAP_SIDE = 128
_REPORT_EVERY = 500
Judge = Callable[[NDArray[np.uint8]], tuple[float, NDArray[np.float32]]]
"""From a cached image (side, side) to the probability of air and its map, (side, side)."""


@dataclass(frozen=True, eq=False)
class Taught:
    """A teacher's word for n images.

    Attributes:
        labels: float32, (n,), probabilities.
        maps: uint8, (n, MAP_SIDE, MAP_SIDE), 255 for a probability of 1; empty where the teacher
            does not call the finding.
    """

    labels: NDArray[np.float32]
    maps: NDArray[np.uint8]

    def masks(self, side: int) -> NDArray[np.uint8]:
        """The maps on the grid of the cached images, (n, side, side)."""
        masks = np.zeros((len(self.maps), side, side), np.uint8)
        for mask, small in zip(masks, self.maps, strict=True):
            if small.any():
                mask[:] = cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR)
        return masks


def teach(images: NDArray[np.uint8], teacher: Path, folder: Path, content: str) -> Taught:
    """Ask a teacher, or read what it said before; of several processes one asks.

    Args:
        images: (n, side, side), as cached.
        teacher: a model folder, whose probability is calibrated and whose mask rule says where the
            map is empty; or a run folder of `pleura train`, whose averaged weights of the best, or
            else the last, checkpoint judge, with 0.5 as the threshold.
        folder: where the answers are kept.
        content: names the images.

    Raises:
        ModelError: the teacher cannot be used.
        DataError: answers kept earlier are damaged.
    """
    judge, identity = _judge_of(teacher)
    key = hashlib.sha256(f"{identity}\n{content}\n{images.shape}".encode()).hexdigest()[:16]
    path = folder / f"taught-{key}.npz"
    if not path.is_file():
        with one_builder(path):
            if not path.is_file():
                _write(path, *_answers(images, judge))
    try:
        with np.load(path) as stored:
            return Taught(stored["labels"], stored["maps"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"The teacher's answers {path} are damaged.", "Delete the file.") from error


def _answers(
    images: NDArray[np.uint8], judge: Judge
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    labels = np.empty(len(images), np.float32)
    maps = np.empty((len(images), MAP_SIDE, MAP_SIDE), np.uint8)
    for number, image in enumerate(images):
        if number % _REPORT_EVERY == 0:
            logger.info("the teacher has judged %d of %d images", number, len(images))
        labels[number], probability = judge(image)
        small = cv2.resize(probability, (MAP_SIDE, MAP_SIDE), interpolation=cv2.INTER_AREA)
        maps[number] = np.rint(np.clip(small, 0, 1) * 255)
    return labels, maps


def _write(path: Path, labels: NDArray[np.float32], maps: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writing = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}.npz")
    np.savez_compressed(writing, labels=labels, maps=maps)
    writing.replace(path)


def _judge_of(teacher: Path) -> tuple[Judge, str]:
    """The teacher, and what names its weights."""
    if (teacher / MANIFEST_NAME).is_file():
        return _model_judge(teacher), sha256_of(teacher / MANIFEST_NAME)
    if (teacher / CONFIG_NAME).is_file():
        folder = teacher / CHECKPOINTS
        name = BEST_NAME if (folder / BEST_NAME).is_file() else LAST_NAME
        return _run_judge(teacher, name), sha256_of(folder / name)
    raise ModelError(
        f"The teacher {teacher} is neither a model folder nor a run folder.",
        "Check data.unlabelled.teacher.",
    )


def _model_judge(folder: Path) -> Judge:
    # Whoever made the data set chose its images; a gate that refused one would end the training.
    predictor = Predictor.load(folder, gate=GateSettings(Strictness.OFF))

    def judge(image: NDArray[np.uint8]) -> tuple[float, NDArray[np.float32]]:
        prediction = predictor.predict(as_radiograph(image), always_segment=True)
        found = prediction.mask.any()
        return prediction.probability, prediction.probability_map * np.float32(found)

    return judge


def _run_judge(run: Path, checkpoint: str) -> Judge:
    config = load_config(run / CONFIG_NAME)
    network = load_network(run, config, checkpoint.removesuffix(".ckpt"))

    def judge(image: NDArray[np.uint8]) -> tuple[float, NDArray[np.float32]]:
        pixels, letterbox = prepare(as_radiograph(image), config.preprocessing)
        with torch.inference_mode():
            output: Any = network(torch.from_numpy(pixels))
        if output.logit is None:
            raise ModelError(f"The teacher {run} gives no image-level logit.")
        probability = float(torch.sigmoid(output.logit))
        if output.mask_logits is None or probability < 0.5:
            return probability, np.zeros(image.shape, np.float32)
        return probability, letterbox.invert(torch.sigmoid(output.mask_logits)[0, 0].numpy())

    return judge
