"""What a user would run instead: each takes a file and gives its result as JSON.

    torch eager, torch.compile   the networks of the model folder, both views in one batch,
                                 float32; reading, preprocessing and decision are Pleura's own
    the design's baseline        CheXNet at 224 and Double U-Net at 256 pixels in torch eager, each
                                 on every image, pydicom's own decoder and OpenCV around them
    MONAI                        its loader and transforms, DenseNet-121 at 224 and a U-Net++ at
                                 256 pixels (BasicUNetPlusPlus, its default widths)

The weights of the last two are random: time does not depend on them.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import torch
from numpy.typing import NDArray

from pleura import Predictor
from pleura.inference import Engine, prepare
from pleura.inference.manifest import Manifest
from pleura.inference.postprocess import calibrated_probability, mask_from_map
from pleura.io import read_radiograph
from pleura.masks import connected_regions, encode
from pleura.models import Network, create_network
from pleura.models.double_unet import DoubleUNet
from pleura.outputs import json_line
from pleura.training.released import restore

Rival = Callable[[Path], str]


def pleura(folder: Path, threads: int, engine: Engine | None = None) -> Rival:
    """The whole way as `pleura predict --jsonl` walks it, in a process that has started."""
    predictor = Predictor(folder, threads=threads, engine=engine)
    return lambda path: json_line(predictor.predict(path))


def own_network(folder: Path) -> Network:
    """The network of a model folder in PyTorch, in evaluation mode."""
    manifest = Manifest.read(folder)
    said = manifest.training["network"]
    network = create_network(said["name"], **said["options"])
    size = manifest.preprocessing.size
    generator = torch.Generator().manual_seed(0)
    restore(network, folder, torch.randn(2, 1, size, size, generator=generator))
    return network.eval()


def torch_eager(folder: Path, compiled: bool = False) -> Rival:
    """The same networks in PyTorch, as it runs them or compiled."""
    manifest, network = Manifest.read(folder), own_network(folder)
    run = torch.compile(network) if compiled else network

    @torch.inference_mode()
    def judge(path: Path) -> str:
        radiograph = read_radiograph(path)
        image, letterbox = prepare(radiograph, manifest.preprocessing)
        views = np.concatenate([image, image[..., ::-1]]) if manifest.flip_average else image
        said = run(torch.from_numpy(np.ascontiguousarray(views)))
        probability = calibrated_probability(said.logit.mean().item(), manifest.calibration)
        maps = torch.sigmoid(said.mask_logits[:, 0]).numpy()
        both = (maps[0] + maps[-1][:, ::-1]) / 2 if len(maps) > 1 else maps[0]
        point = manifest.operating_point()
        record: dict[str, Any] = {"probability": probability, "rle": "-1", "regions": []}
        if probability >= point.threshold:
            on_file = letterbox.invert(np.ascontiguousarray(both))
            mask = mask_from_map(on_file, manifest.mask)
            regions = connected_regions(mask, on_file)
            record |= {"rle": encode(mask), "regions": [region.box for region in regions]}
        return json.dumps(record)

    return judge


def design_baseline() -> Rival:
    """Classifier at 224 and segmenter at 256 pixels, one after the other, on every image."""
    classifier = create_network("chexnet").eval()
    segmenter = DoubleUNet().eval()

    @torch.inference_mode()
    def judge(path: Path) -> str:
        pixels = as_bytes(pydicom.dcmread(path).pixel_array)
        logit = classifier(resized(pixels, 224)).logit
        mask_logits = segmenter(resized(pixels, 256)).mask_logits
        return as_json(torch.sigmoid(logit).item(), torch.sigmoid(mask_logits)[0, 0], pixels)

    return judge


def monai_pipeline() -> Rival:
    """What MONAI's tutorials would build."""
    from monai import transforms as t
    from monai.networks.nets import BasicUNetPlusPlus, DenseNet121

    load = t.Compose([t.LoadImage(image_only=True, ensure_channel_first=True), t.ScaleIntensity()])
    sides = {side: t.Resize((side, side)) for side in (224, 256)}
    classifier = DenseNet121(spatial_dims=2, in_channels=1, out_channels=1).eval()
    segmenter = BasicUNetPlusPlus(spatial_dims=2, in_channels=1, out_channels=1).eval()

    @torch.inference_mode()
    def judge(path: Path) -> str:
        image = load(path)
        logit = classifier(sides[224](image).as_tensor()[None])
        (mask_logits,) = segmenter(sides[256](image).as_tensor()[None])
        pixels = np.asarray(image[0]).T
        return as_json(torch.sigmoid(logit).item(), torch.sigmoid(mask_logits)[0, 0].T, pixels)

    return judge


def as_bytes(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Stored pixels in eight bits."""
    if pixels.dtype == np.uint8:
        return pixels
    low, high = int(pixels.min()), max(int(pixels.max()), int(pixels.min()) + 1)
    return np.asarray((pixels - low) * (255.0 / (high - low)), dtype=np.uint8)


def resized(pixels: NDArray[np.uint8], side: int) -> torch.Tensor:
    """(1, 1, side, side), standardised."""
    small = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
    return torch.from_numpy((small.astype(np.float32) / 255 - 0.449) / 0.226)[None, None]


def as_json(probability: float, map_: torch.Tensor, pixels: NDArray[Any]) -> str:
    """Probability and mask on the file's grid."""
    rows, columns = pixels.shape[:2]
    mask = cv2.resize(map_.contiguous().numpy(), (columns, rows)) >= 0.5
    return json.dumps({"probability": probability, "rle": encode(mask)})
