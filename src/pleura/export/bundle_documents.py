"""What stands in a MONAI bundle beside the weights: metadata, configuration, licence."""

from importlib.metadata import version
from typing import Any

import numpy as np
import torch

import pleura
from pleura.inference import Manifest, Preprocessing

DISCLAIMER = "Research software, not a medical device."
LICENCE_NAME = "LICENSE"
SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)
_PARTS = "pleura.export.bundle_parts"
TASK = "Pneumothorax on frontal chest radiographs: finding and mask"
NO_TERMS = "not stated by the model; ask whoever made it before you pass them on"


def metadata(manifest: Manifest, output_stride: int) -> dict[str, Any]:
    """`configs/metadata.json`, after MONAI's schema of 2024-07-25.

    Args:
        manifest: of the model.
        output_stride: input pixels per pixel of the mask.
    """
    return {
        "schema": SCHEMA,
        "version": manifest.version,
        "changelog": {manifest.version: "written by pleura bundle"},
        "monai_version": version("monai"),
        "pytorch_version": torch.__version__.partition("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {
            "pleura": pleura.__version__,
            "pytorch-ignite": version("pytorch-ignite"),
            "fire": version("fire"),
        },
        "name": manifest.name,
        "task": TASK,
        "description": (
            f"{manifest.name} {manifest.version}: {manifest.description}. Says whether a frontal"
            " chest radiograph of an adult shows a pneumothorax, how probable it is, and where."
            f" {DISCLAIMER}"
        ),
        "authors": "Pleura",
        "copyright": f"Weights: {manifest.licence or NO_TERMS}",
        "data_source": manifest.licence,
        "data_type": "dicom",
        "image_classes": "one grey channel, letterboxed to a square and standardised",
        "label_classes": "mask: 1 air between lung and chest wall; image: 1 pneumothorax",
        "pred_classes": "channel 0 mask logit, channel 1 image-level logit, before calibration",
        "eval_metrics": {name: figure.value for name, figure in manifest.performance.items()},
        "intended_use": (
            f"Research on frontal chest radiographs of adults. {DISCLAIMER} Nothing it says may"
            " guide the care of a patient."
        ),
        "network_data_format": _formats(manifest.preprocessing, output_stride),
    }


def _formats(preprocessing: Preprocessing, output_stride: int) -> dict[str, Any]:
    grey = [(end - preprocessing.mean) / preprocessing.std for end in (0.0, 1.0)]
    air = "1 where air lies between lung and chest wall"
    on_file = ["*", "*"]
    return {
        "inputs": {
            "image": _tensor(
                "image", "magnitude", [preprocessing.size] * 2, grey, ["radiograph"], modality="DX"
            )
        },
        "outputs": {
            "pred": _tensor(
                "image",
                "segmentation",
                [preprocessing.size // output_stride] * 2,
                [],
                ["mask logit", "image-level logit, the same at every pixel"],
            )
        },
        "post_processed_outputs": {
            "probability": _tensor("probabilities", "classes", [1], [0, 1], ["pneumothorax"]),
            "mask": _tensor("image", "segmentation", on_file, [0, 1], [air], dtype="bool"),
            "probability_map": _tensor("image", "segmentation", on_file, [0, 1], [air]),
        },
    }


def _tensor(
    kind: str,
    form: str,
    shape: list[Any],
    value_range: list[float],
    channels: list[str],
    modality: str = "n/a",
    dtype: str = "float32",
) -> dict[str, Any]:
    return {
        "type": kind,
        "format": form,
        "modality": modality,
        "num_channels": len(channels),
        "spatial_shape": shape,
        "dtype": dtype,
        "value_range": value_range,
        "is_patch_data": False,
        "channel_def": {str(number): text for number, text in enumerate(channels)},
    }


def inference_config(network: dict[str, Any]) -> dict[str, Any]:
    """`configs/inference.json`: files in, results as `pleura predict` writes them out.

    Args:
        network: name and options of the network.
    """
    return {
        "imports": [
            "$from monai.data.utils import no_collation",
            f"$from {_PARTS} import inputs_in",
        ],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/eval'",
        "output_formats": ["json", "csv", "png"],
        "operating_point": None,
        "gate": "refuse",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {"_target_": f"{_PARTS}.BundleNetwork", **network},
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [{"_target_": f"{_PARTS}.ReadRadiographd", "keys": "image"}],
        },
        "datalist": "$inputs_in(@dataset_dir, @output_dir)",
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "dataloader": {
            "_target_": "DataLoader",
            "dataset": "@dataset",
            "batch_size": 1,
            "shuffle": False,
            "num_workers": 0,
            "collate_fn": "$no_collation",
        },
        "inferer": {
            "_target_": f"{_PARTS}.RadiographInferer",
            "folder": "$@bundle_root + '/models'",
            "operating_point": "@operating_point",
            "gate": "@gate",
        },
        "writer": {
            "_target_": f"{_PARTS}.WriteResultsd",
            "keys": "pred",
            "folder": "@output_dir",
            "formats": "@output_formats",
        },
        "postprocessing": {"_target_": "Compose", "transforms": ["@writer"]},
        "handlers": [
            {
                "_target_": "CheckpointLoader",
                "load_path": "$@bundle_root + '/models/model.pt'",
                "load_dict": {"model": "@network"},
                "map_location": "@device",
            }
        ],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "prepare_batch": "$lambda batch, *_, **__: ([item['image'] for item in batch], None)",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
            "decollate": False,
        },
        "run": ["$@evaluator.run()"],
        "finalize": ["$@writer.close()"],
    }


def licence(manifest: Manifest) -> str:
    """`LICENSE`: terms of the weights and of the configuration."""
    return (
        f"Weights (models/): {manifest.licence or NO_TERMS}\n\n"
        "Configuration and documents (configs/, docs/): Apache License, Version 2.0,\n"
        "https://www.apache.org/licenses/LICENSE-2.0\n\n"
        f"{DISCLAIMER}\n"
    )
