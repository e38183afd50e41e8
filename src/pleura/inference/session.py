"""The two networks in their engine: the classifier first, the segmenter where it matters.

The files are read once, held against the manifest's SHA-256, and loaded from the same bytes that
were hashed. ONNX Runtime computes float32 on the
processor and gives the same numbers every time, unless another engine is named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pleura.engines import Engine, Network, Port, engine_of, open_network
from pleura.errors import ModelError
from pleura.inference.manifest import Component, Manifest
from pleura.inference.postprocess import sigmoid
from pleura.inference.threads import default_threads

IMAGE = "image"
LOGIT = "logit"
EMBEDDING = "embedding"
MASK_LOGITS = "mask_logits"
_FLOAT = "tensor(float)"


@dataclass(frozen=True, slots=True, eq=False)
class Classified:
    """What the classifier left behind for the segmenter.

    Attributes:
        logit: before calibration; the mean of `view_logits`.
        view_logits: one for each view: the image, then its mirror image where it was judged.
        tensors: `image` (n, 1, size, size) and the features that the segmenter asks for, by name;
            n is the number of views.
        embedding: (d,) the deepest features of the image itself, averaged over the places; None
            without any.
    """

    logit: float
    view_logits: tuple[float, ...]
    tensors: dict[str, NDArray[np.float32]]
    embedding: NDArray[np.float32] | None = None


class TwoStageSession:
    """Classifier and segmenter of one model folder, loaded and ready.

    Args:
        folder: the model folder.
        manifest: its manifest.
        threads: threads of one network run; None for `default_threads()`.
        networks: classifier and segmenter that are loaded already, in the place of the folder's
            files; they run in PyTorch.
        engine: that runs the networks; None for the files' own, see `pleura.engines.engine_of`.

    Raises:
        ModelError: a file is missing, its SHA-256 differs from the manifest's, the engine cannot
            load it, or its inputs and outputs are not those of the contract (see `Manifest`).
        MissingDependencyError: the engine is not installed.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        threads: int | None = None,
        networks: tuple[Network, Network | None] | None = None,
        engine: Engine | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        self.threads = threads or default_threads()
        self._size = manifest.preprocessing.size
        self._apart = manifest.segmenter_preprocessing
        self.flip_average = manifest.flip_average
        self._mirror_from = manifest.mirror_from
        self.engine = Engine.PYTORCH if networks else engine_of(manifest.classifier.file, engine)
        self._classifier, self._segmenter = networks or self._opened(folder, manifest, engine)
        given = self._check_classifier(manifest.classifier.file)
        if manifest.segmenter is None or self._segmenter is None:
            if MASK_LOGITS not in given:
                raise ModelError(
                    f"The model has no segmenter, and {manifest.classifier.file} gives no"
                    f" '{MASK_LOGITS}'."
                )
            self._wanted = [MASK_LOGITS]
        else:
            self._wanted = self._check_segmenter(self._segmenter, manifest.segmenter.file)
        self._features = [name for name in self._wanted if name != IMAGE]
        self._embedding = [EMBEDDING] if EMBEDDING in given else []
        if manifest.familiarity is not None and not self._embedding:
            raise ModelError(
                f"{manifest.classifier.file} gives no '{EMBEDDING}', which the manifest needs."
            )

    def _opened(
        self, folder: Path, manifest: Manifest, engine: Engine | None
    ) -> tuple[Network, Network | None]:
        def opened(part: Component) -> Network:
            weights = part.weights
            beside = None if weights is None else (folder / weights.file, weights.sha256)
            return open_network(folder / part.file, part.sha256, self.threads, engine, beside)

        segmenter = manifest.segmenter
        return opened(manifest.classifier), None if segmenter is None else opened(segmenter)

    def classify(self, image: NDArray[np.float32]) -> Classified:
        """Run the classifier on one image.

        Args:
            image: float32, (1, 1, size, size), standardised.

        Raises:
            ModelError: the logit is not a finite number.
        """
        if self._mirror_from is None:
            together = self._run(self._views(image))
        else:
            together = self._run(image)
            if together[LOGIT].item() >= self._mirror_from:
                mirrored = self._run(np.ascontiguousarray(image[..., ::-1]))
                both = {name: (together[name], mirrored[name]) for name in together}
                together = {name: np.concatenate(views) for name, views in both.items()}
        logits = tuple(float(logit) for logit in together.pop(LOGIT).ravel())
        embedding = together.pop(EMBEDDING)[0] if self._embedding else None
        return Classified(float(np.mean(logits)), logits, together, embedding)

    def segment(
        self, classified: Classified, image: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Run the segmenter on what the classifier left behind, or on an input of its own.

        Args:
            classified: of the same radiograph.
            image: float32, (1, 1, size, size), prepared as the manifest's `segmenter_preprocessing`
                says; None when the model has none.

        Returns:
            Probability of air, float32 in [0, 1], (h, w): the input's grid or a coarser one; the
            mean over the views when the model averages flips.

        Raises:
            ModelError: a value is not a finite number.
        """
        tensors = classified.tensors if image is None else {IMAGE: self._views(image)}
        feeds = {name: tensors[name] for name in self._wanted}
        if self._segmenter is None:
            mask_logits = feeds[MASK_LOGITS]
        else:
            (mask_logits,) = self._segmenter.run([MASK_LOGITS], feeds)
        probability = sigmoid(mask_logits[:, 0])
        if not np.isfinite(probability).all():
            raise ModelError("The segmenter gave values that are not finite numbers.")
        if len(probability) == 1:
            return np.asarray(probability[0], dtype=np.float32)
        return np.asarray((probability[0] + probability[1][:, ::-1]) * 0.5, dtype=np.float32)

    def _run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """What the classifier gives for these views, by name, and the views themselves."""
        wanted = [LOGIT, *self._features, *self._embedding]
        outputs = dict(zip(wanted, self._classifier.run(wanted, {IMAGE: images}), strict=True))
        if not np.isfinite(outputs[LOGIT]).all():
            raise ModelError("The classifier gave no finite number.")
        return {**outputs, IMAGE: images}

    def _views(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The image, and its mirror image when the model averages flips."""
        return np.concatenate([image, image[..., ::-1]]) if self.flip_average else image

    def _check_classifier(self, file: str) -> list[str]:
        """The names of its outputs."""
        inputs, outputs = self._classifier.get_inputs(), self._classifier.get_outputs()
        if [node.name for node in inputs] != [IMAGE]:
            raise ModelError(
                f"{file} must take one input named '{IMAGE}'; it takes {_names(inputs)}."
            )
        if LOGIT not in [node.name for node in outputs]:
            raise ModelError(f"{file} must give '{LOGIT}'; it gives {_names(outputs)}.")
        self._check_image(file, inputs[0], self._size)
        return [node.name for node in outputs]

    def _check_segmenter(self, segmenter: Network, file: str) -> list[str]:
        """The names of its inputs."""
        inputs, outputs = segmenter.get_inputs(), segmenter.get_outputs()
        given = {IMAGE}
        if self._apart is None:
            given |= {node.name for node in self._classifier.get_outputs()}
        unknown = [node for node in inputs if node.name not in given]
        if unknown:
            giver = "the classifier does not give" if self._apart is None else "nothing gives"
            raise ModelError(f"{file} asks for {_names(unknown)}, which {giver}.")
        if MASK_LOGITS not in [node.name for node in outputs]:
            raise ModelError(f"{file} must give '{MASK_LOGITS}'; it gives {_names(outputs)}.")
        for node in inputs:
            if node.name == IMAGE:
                size = self._size if self._apart is None else self._apart.size
                self._check_image(file, node, size)
        return [node.name for node in inputs]

    def _check_image(self, file: str, node: Port, size: int) -> None:
        """Hold type and the fixed dimensions of `image` against (n, 1, size, size) float32."""
        views = 2 if self.flip_average and self._mirror_from is None else 1
        expected = (views, 1, size, size)
        shape = list(node.shape)
        fits = len(shape) == 4 and all(
            have == want
            for have, want in zip(shape, expected, strict=True)
            if isinstance(have, int)
        )
        if node.type != _FLOAT or not fits:
            raise ModelError(
                f"{file} takes '{IMAGE}' as {node.type} {shape}; the manifest needs float32"
                f" {list(expected)}."
            )


def _names(nodes: Sequence[Port]) -> str:
    return ", ".join(f"'{node.name}'" for node in nodes) or "nothing"
