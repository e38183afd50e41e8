"""The model card of a MONAI bundle, `docs/README.md`."""

import pleura
from pleura.export.bundle_documents import DISCLAIMER, NO_TERMS, TASK
from pleura.export.bundle_parity import BundleParity
from pleura.inference import Manifest, OperatingPoint

_README = """# {name} {version}

**{disclaimer}** Nothing it says may guide the care of a patient.

| | |
|---|---|
| task | {task} |
| network | {network} |
| input | one grey channel, {size} x {size}, letterboxed by area means; minus {mean}, over {std} |
| views | {views} |
| calibration | {calibration} |
| terms of the weights | {licence} |

## Run it

    pip install 'pleura[train]=={pleura}'
    python -m monai.bundle run --config_file configs/inference.json --bundle_root . \\
        --dataset_dir FOLDER --output_dir results

FOLDER holds DICOM, PNG, JPEG or TIFF files, in folders and archives too. `results` gets what
`pleura predict FOLDER -o results` writes: predictions.jsonl, predictions.csv and overlays. A file
that must not be judged is a line with the reason, and stops nothing.
`--operating_point sensitive`, `--gate warn` and `--output_formats "['json','seg','sr']"` change
what they say.

The network runs in PyTorch (`models/model.pt`), on a GPU where there is one. All else is Pleura's:
reading, input gate, letterbox and its inverse, mirror image, calibration, mask. `models/` is a
model folder of Pleura as well (`pleura predict --model models FOLDER`), with the same network as
ONNX.

## Train it further

`network_def` with `models/model.pt` is an ordinary PyTorch module: (n, 1, {size}, {size}) to two
channels, the mask's logits and the image-level logit. `NetworkInputd` of
`pleura.export.bundle_parts` makes its input of a radiograph. Or go on with Pleura:

    pleura train CONFIG.yaml network.checkpoint=models/model.pt

The statistics of its normalisation were measured on {cohort}.
Synthetic ones are a poor start for training in which these layers learn.

## Same result

{radiographs} radiographs ({cohort}), judged by this bundle and by `pleura.Predictor` on the
ONNX files: largest difference of the logit {logit:.1e}, of the probability {probability:.1e}; mean
Dice of the two masks {dice:.5f}. The bounds are in parity.json.

## Operating points

As chosen on held-out training images:

| name | probability from | sensitivity | specificity |
|---|---|---|---|
{points}

## Measured

{measured}

## Limits

- For frontal (PA or AP) chest radiographs of adults, upright in the file. Of any other picture that
  the input gate does not refuse, the probability means nothing.
- It looks for pneumothorax and nothing else: "no pneumothorax" is not "normal".
- Small pneumothoraces are missed more often than large ones; chest tubes and lines mislead it.
- The mask says where to look. Its area is no measurement to follow a patient by.
- The probability is right for the prevalence that it was calibrated for, and for radiographs like
  those that it was calibrated on. At another site, measure first: `pleura calibrate`.
- Which side of the patient a region lies on, a mirrored film does not say.
{card}"""


def readme(manifest: Manifest, parity: BundleParity, card: str) -> str:
    """What the model is, how to run it, its parity and figures, and what it cannot do.

    Args:
        manifest: of the model.
        parity: of the bundle.
        card: the model folder's own card, or "".
    """
    preprocessing = manifest.preprocessing
    views = "the radiograph alone"
    if manifest.flip_average:
        views = "the radiograph and its mirror image, averaged"
        if manifest.mirror_from is not None:
            views += f"; a clear negative (logit below {manifest.mirror_from:.2f}) alone"
    points = "\n".join(_point_row(point, manifest) for point in manifest.operating_points)
    figures = "\n".join(
        f"| {name} | {figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}] | {figure.n} |"
        for name, figure in manifest.performance.items()
    )
    measured = (
        f"On {manifest.performance_cohort}; 95 % intervals.\n\n"
        f"| figure | value | n |\n|---|---|---|\n{figures}"
        if figures
        else "Nothing is measured of this model."
    )
    calibration = manifest.calibration
    prevalence = (
        "" if calibration.prevalence is None else f", for a prevalence of {calibration.prevalence}"
    )
    return _README.format(
        name=manifest.name,
        version=manifest.version,
        disclaimer=DISCLAIMER,
        task=TASK,
        network=manifest.description,
        size=preprocessing.size,
        mean=preprocessing.mean,
        std=preprocessing.std,
        views=views,
        calibration=f"{calibration.method}{prevalence}",
        licence=manifest.licence or NO_TERMS,
        points=points,
        measured=measured,
        pleura=pleura.__version__,
        radiographs=parity.radiographs,
        cohort=parity.cohort,
        logit=parity.max_logit_difference,
        probability=parity.max_probability_difference,
        dice=parity.mean_mask_dice,
        card=f"\n## The model's own card\n\n{card.strip()}\n" if card.strip() else "",
    )


def _point_row(point: OperatingPoint, manifest: Manifest) -> str:
    def shown(value: float, interval: tuple[float, float] | None) -> str:
        return f"{value:.3f}" + (
            "" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]"
        )

    default = " (default)" if point.name == manifest.default_operating_point else ""
    sensitivity = shown(point.sensitivity, point.sensitivity_interval)
    specificity = shown(point.specificity, point.specificity_interval)
    return f"| `{point.name}`{default} | {point.threshold:.3f} | {sensitivity} | {specificity} |"
