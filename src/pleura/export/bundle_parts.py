"""What the configuration of a MONAI bundle names: network, input, reading, inferer, results.

Everything between file and result is `Predictor`'s own; the network alone is the bundle's.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config.type_definitions import KeysCollection
from monai.inferers.inferer import Inferer
from monai.transforms.transform import MapTransform
from numpy.typing import NDArray
from torch import Tensor, nn

from pleura.errors import ModelError, RefusedInputError
from pleura.export.stages import EMBEDDING, IMAGE, LOGIT, MASK_LOGITS, cut
from pleura.inference import Manifest, Predictor, Preprocessing, Result, prepare
from pleura.inference.source import Source, decode
from pleura.io import discover
from pleura.models import Network, create_network
from pleura.outputs import OutputFolder, places_in
from pleura.quality import GateSettings, Strictness
from pleura.radiograph import Radiograph


class BundleNetwork(nn.Module):
    """A network whose two answers come in one tensor, as MONAI's tools expect of a network.

    Its state dict is that of a run of `pleura train`, which can start from it.

    Args:
        name: key of `pleura.models.NETWORKS`.
        options: of the network; it must give a mask and an image-level logit.
    """

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__()
        self.network: Network = create_network(name, **options)

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, 1, h, w), standardised, to logits (n, 2, h / stride, w / stride).

        Channel 0 is the mask; channel 1 the image-level logit, the same at every pixel.

        Raises:
            ModelError: the network has not both.
        """
        output = self.network(image)
        if output.logit is None or output.mask_logits is None:
            raise ModelError("The network of a bundle needs a mask and an image-level logit.")
        logit = output.logit[..., None, None].expand_as(output.mask_logits)
        return torch.cat([output.mask_logits, logit], dim=1)


@dataclass(frozen=True, slots=True)
class _Node:
    """Of a network's input or output, what ONNX Runtime says of one."""

    name: str
    shape: tuple[int | str, ...] = ()
    type: str = "tensor(float)"


class TorchStage:
    """A stage of a network in PyTorch, with the face of an ONNX Runtime session.

    Args:
        stage: in evaluation mode, on any device.
        inputs: names and shapes, in the order of the stage's arguments.
        outputs: names, in the order of what it gives.
    """

    def __init__(
        self, stage: nn.Module, inputs: Mapping[str, tuple[int | str, ...]], outputs: Sequence[str]
    ) -> None:
        self._stage = stage
        self._inputs = [_Node(name, shape) for name, shape in inputs.items()]
        self._outputs = [_Node(name) for name in outputs]

    def get_inputs(self) -> list[_Node]:
        """Of the stage, by name and shape."""
        return self._inputs

    def get_outputs(self) -> list[_Node]:
        """Of the stage, by name."""
        return self._outputs

    @torch.inference_mode()
    def run(
        self, wanted: Sequence[str], feeds: Mapping[str, NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """The outputs of these names for these inputs."""
        device = next(self._stage.parameters()).device
        given = [torch.from_numpy(feeds[node.name]).to(device) for node in self._inputs]
        values = self._stage(*given)
        together = values if isinstance(values, tuple) else (values,)
        names = [node.name for node in self._outputs]
        by_name = dict(zip(names, together, strict=True))
        return [by_name[name].float().cpu().numpy() for name in wanted]


def torch_stages(
    network: Network, preprocessing: Preprocessing
) -> tuple[TorchStage, TorchStage | None]:
    """Classifier and segmenter of a network, for `Predictor(networks=...)`."""
    stages, size = cut(network), preprocessing.size
    outputs = [LOGIT, EMBEDDING, *stages.features]
    classifier = TorchStage(stages.classifier, {IMAGE: ("n", 1, size, size)}, outputs)
    if stages.segmenter is None:
        return classifier, None
    passed = dict.fromkeys(stages.features, ())
    return classifier, TorchStage(stages.segmenter, passed, [MASK_LOGITS])


def inputs_in(folder: str, leave_out: str) -> list[dict[str, Source]]:
    """The data of the bundle's dataset: every file under a folder, as `pleura predict` finds them.

    Args:
        folder: a folder, a file, a glob or an archive.
        leave_out: folder of the results; what stands there is no input.
    """
    return [{"image": found} for found in discover([folder], leave_out=places_in(Path(leave_out)))]


class ReadRadiographd(MapTransform):
    """A path to a `Radiograph`; what cannot be read stays a path, and the inferer says why."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read each key."""
        read = dict(data)
        for key in self.key_iterator(read):
            try:
                read[key] = decode(read[key])
            except RefusedInputError:
                continue
        return read


class NetworkInputd(MapTransform):
    """A `Radiograph` to the network's own input: for training, which the inferer has no part in.

    Args:
        keys: of the data.
        size, mean, std, pad_value: see `pleura.inference.Preprocessing`.
        allow_missing_keys: as in every transform of MONAI.
    """

    def __init__(
        self,
        keys: KeysCollection,
        size: int,
        mean: float,
        std: float,
        pad_value: float = 0.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.preprocessing = Preprocessing(size=size, mean=mean, std=std, pad_value=pad_value)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Make each key a tensor (1, size, size), standardised."""
        made = dict(data)
        for key in self.key_iterator(made):
            made[key] = torch.from_numpy(prepare(made[key], self.preprocessing)[0][0])
        return made


class RadiographInferer(Inferer):
    """Judges radiographs as `Predictor` does, by the network that it is given.

    Letterbox and its inverse, mirror image, calibration, operating point, input gate and mask are
    those of the model folder.

    Args:
        folder: model folder with the manifest.
        operating_point: name of the point that decides; None for the manifest's default.
        gate: `refuse`, `warn` or `off`; see `pleura.quality`.
        correct: turn and invert pictures that lie wrong.
    """

    def __init__(
        self,
        folder: str | Path,
        operating_point: str | None = None,
        gate: str = "refuse",
        correct: bool = False,
    ) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.operating_point = operating_point
        self.gate = GateSettings(Strictness(gate), correct)
        self._judged_by: tuple[BundleNetwork, Predictor] | None = None

    def __call__(
        self,
        inputs: Sequence[Source] | Tensor,
        network: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> list[Result]:
        """One `Prediction` or `Refusal` for each input, in their order.

        Args:
            inputs: radiographs, or whatever else `Predictor.predict` takes; or a tensor
                (n, 1, rows, columns) of pixels in [0, 1], lung dark and bone bright.
            network: a `BundleNetwork` in evaluation mode.
            args: none.
            kwargs: none.
        """
        if isinstance(inputs, Tensor):
            pixels = np.asarray(inputs.detach().cpu().numpy(), dtype=np.float32)
            inputs = [Radiograph(np.ascontiguousarray(picture[0])) for picture in pixels]
        return list(self.predictor(network).predict_many(inputs))

    def predictor(self, network: Callable[..., Any]) -> Predictor:
        """The predictor that asks this network."""
        if self._judged_by is None or self._judged_by[0] is not network:
            if not isinstance(network, BundleNetwork):
                raise TypeError(f"the network must be a BundleNetwork, not {type(network)}")
            preprocessing = Manifest.read(self.folder).preprocessing
            predictor = Predictor(
                self.folder,
                operating_point=self.operating_point,
                gate=self.gate,
                networks=torch_stages(network.network, preprocessing),
            )
            self._judged_by = network, predictor
        return self._judged_by[1]


class WriteResultsd(MapTransform):
    """Writes results as `pleura predict` does.

    Args:
        keys: of lists of results.
        folder: made at the first result; tables of an earlier run are replaced.
        formats: `json`, `csv`, `png`, `seg`, `sr`, `sc`; see `pleura.outputs`.
        allow_missing_keys: as in every transform of MONAI.
    """

    def __init__(
        self,
        keys: KeysCollection,
        folder: str | Path,
        formats: Sequence[str] = ("json", "csv", "png"),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.folder, self.formats = Path(folder), tuple(formats)
        self._open: OutputFolder | None = None

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the results of each key, and pass all on."""
        if self._open is None:
            self._open = OutputFolder(self.folder, self.formats)
        for key in self.key_iterator(dict(data)):
            for result in data[key]:
                self._open.write(result)
        return dict(data)

    def close(self) -> None:
        """Finish the files."""
        if self._open is not None:
            self._open.close()
            self._open = None
