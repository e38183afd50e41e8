"""A model folder as a MONAI bundle, which `python -m monai.bundle run` executes.

    configs/metadata.json    what goes in and comes out, versions, measured figures
    configs/inference.json   files in, results out, as `pleura predict` writes them
    models/                  the model folder, and the same network for PyTorch: model.pt
    docs/README.md           model card
    docs/parity.json         how far the bundle's results are from the model folder's
    LICENSE

The network is restored from the ONNX files. Reading, preprocessing, input gate and all that follows
the network are `Predictor`'s own, so a bundle needs Pleura installed beside MONAI.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pleura.data.index import read_index
from pleura.data.sources import open_image
from pleura.errors import ModelError, OutputError, RefusedInputError
from pleura.export.bundle_card import readme
from pleura.export.bundle_documents import LICENCE_NAME, inference_config, licence, metadata
from pleura.export.bundle_parity import BundleParity, measure_bundle_parity
from pleura.export.bundle_parts import BundleNetwork
from pleura.inference import Manifest, prepare
from pleura.inference.manifest import MANIFEST_NAME
from pleura.io import read_radiograph
from pleura.phantom import draw, spec_for, to_dicom
from pleura.radiograph import Radiograph
from pleura.training.record import CONFIG_NAME
from pleura.training.released import MEASURED_IMAGES, restore

WEIGHTS_NAME = "model.pt"
PARITY_NAME = "parity.json"
CARD_NAMES = ("README.md", "model-card.md")
PHANTOMS = 16
_COMPARED = 32  # radiographs that are held in memory to compare the results on
_FIRST_SEED = 5  # the self-test of every model has the seeds before
_SEED = 0

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Cohort:
    """Radiographs for the statistics and the comparison.

    Attributes:
        radiographs: read one by one.
        count: how many there may be.
        words: what they are.
    """

    radiographs: Iterable[Radiograph]
    count: int
    words: str


def write_bundle(
    model: Path,
    output: Path,
    data: Path | None = None,
    root: Path | None = None,
    progress: Progress | None = None,
) -> BundleParity:
    """Write a bundle from a model folder.

    Args:
        model: folder that `pleura export` wrote.
        output: folder to write; it must not exist, or be empty.
        data: index whose training images give the statistics of normalisation, from which training
            goes on, and the comparison; None for phantoms. What the bundle says does not depend on
            these statistics.
        root: folder of the images, when it has moved since the index was written.
        progress: called with (done, total) while radiographs are read.

    Returns:
        How far the bundle's results are from the model folder's; also in the bundle.

    Raises:
        ModelError: the folder is damaged, its manifest names no network, the network cannot be
            restored from its files, or the bundle does not say what the model says.
        OutputError: the output is not empty, or cannot be written.
        NotFoundError: there is no such index.
        DataError: the file is not an index.
    """
    manifest = Manifest.read(model)
    network = BundleNetwork(**network_of(manifest))
    _check_empty(output)
    cohort = _phantoms() if data is None else _training_images(data, root)
    inputs, compared = _read(cohort, manifest, progress)
    restore(network.network, model, inputs)
    network.eval()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".bundle-", dir=output.parent) as partial:
            work = Path(partial) / "bundle"
            models = work / "models"
            models.mkdir(parents=True)
            for name in (MANIFEST_NAME, *manifest.files):
                shutil.copyfile(model / name, models / name)
            torch.save(network.state_dict(), models / WEIGHTS_NAME)
            parity = measure_bundle_parity(
                models, _loaded(manifest, models), compared, cohort.words
            )
            if not parity.holds:
                raise ModelError(f"The bundle does not say what the model says: {parity}.")
            _write_documents(work, manifest, network, parity, _card(model))
            work.replace(output)
    except OSError as error:
        raise OutputError(f"The folder {output} cannot be written: {error.strerror}.") from error
    return parity


def network_of(manifest: Manifest) -> dict[str, Any]:
    """Name and options of a model's network, for `BundleNetwork`.

    Raises:
        ModelError: the manifest does not tell, as that of a joined model, which names two others;
            the files are not ONNX; or it is a CheXNet, whose normalisations stand before its
            convolutions and cannot be told from the files any more.
    """
    said = manifest.training.get("network")
    if manifest.segmenter_preprocessing is not None or not isinstance(said, dict):
        raise ModelError(
            f"The manifest of {manifest.name} {manifest.version} names no network that gives both"
            " finding and mask.",
            "Bundle a model that `pleura export` wrote; of a joined one, its parts.",
        )
    if said["name"] == "chexnet":
        raise ModelError(
            "A CheXNet cannot be restored from the files of a model folder.",
            "Bundle a model with one of the U-Nets.",
        )
    if not manifest.is_onnx:
        raise ModelError(
            f"The network cannot be restored from {manifest.classifier.file}.",
            "Bundle the model with ONNX files that it was made from.",
        )
    options = dict(said["options"])
    if said["name"] == "nested_unet":  # heads that training alone supervises are not in the files
        options["deep_supervision"] = False
    return {"name": said["name"], **options}


def _check_empty(output: Path) -> None:
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise OutputError(
            f"{output} holds something already.", "Name a folder that does not exist yet."
        )


def _phantoms() -> Cohort:
    seeds = range(_FIRST_SEED, _FIRST_SEED + PHANTOMS)
    drawn = (read_radiograph(to_dicom(draw(spec_for(s, pneumothorax=s % 2 == 1)))) for s in seeds)
    return Cohort(drawn, PHANTOMS, f"{PHANTOMS} synthetic radiographs")


def _training_images(path: Path, root: Path | None) -> Cohort:
    """Images of the split `train`, in random order; those that cannot be read are passed over."""
    index = read_index(path, root=root)
    table = index.table
    paths = table.loc[(table["split"] == "train").fillna(False), "path"].to_numpy()

    def readable() -> Iterator[Radiograph]:
        for number in np.random.default_rng(_SEED).permutation(len(paths)):
            try:
                yield read_radiograph(open_image(index.root, str(paths[number])))
            except RefusedInputError:
                continue

    count = min(MEASURED_IMAGES, len(paths))
    return Cohort(islice(readable(), count), count, "images of the training split")


def _read(
    cohort: Cohort, manifest: Manifest, progress: Progress | None
) -> tuple[torch.Tensor, list[Radiograph]]:
    """The network's inputs (n, 1, size, size), and the first of the radiographs."""
    inputs: list[torch.Tensor] = []
    kept: list[Radiograph] = []
    for radiograph in cohort.radiographs:
        inputs.append(torch.from_numpy(prepare(radiograph, manifest.preprocessing)[0]))
        if len(kept) < _COMPARED:
            kept.append(radiograph)
        if progress is not None:
            progress(len(inputs), cohort.count)
    if not inputs:
        raise ModelError("No training image of the index can be read.", "Name the folder: --root.")
    return torch.cat(inputs), kept


def _loaded(manifest: Manifest, models: Path) -> BundleNetwork:
    """The network as the bundle's user gets it: from the file that was written."""
    network = BundleNetwork(**network_of(manifest))
    network.load_state_dict(torch.load(models / WEIGHTS_NAME, weights_only=True))
    return network.eval()


def _card(model: Path) -> str:
    for name in CARD_NAMES:
        if (model / name).is_file():
            return (model / name).read_text(encoding="utf-8")
    return ""


def _write_documents(
    work: Path, manifest: Manifest, network: BundleNetwork, parity: BundleParity, card: str
) -> None:
    stride = network.network.output_stride
    texts = {
        "configs/metadata.json": _json(metadata(manifest, stride)),
        "configs/inference.json": _json(inference_config(network_of(manifest))),
        f"docs/{PARITY_NAME}": _json(parity.as_dict()),
        "docs/README.md": readme(manifest, parity, card),
        LICENCE_NAME: licence(manifest),
    }
    for name, text in texts.items():
        path = work / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=4) + "\n"


def is_run_folder(path: Path) -> bool:
    """Whether `pleura train` wrote it and `pleura export` has not been there yet."""
    return (path / CONFIG_NAME).is_file() and not (path / MANIFEST_NAME).is_file()
