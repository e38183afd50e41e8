"""What a training run is told: a YAML file, checked before anything starts."""

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pleura.data.augment import Augmentation
from pleura.errors import ConfigError
from pleura.inference.manifest import Preprocessing


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PhantomConfig(_Strict):
    """Synthetic radiographs among the training images.

    Attributes:
        share: of the draws; 0 for none.
        count: distinct phantoms, half of them with a pneumothorax.
        first_seed: they take the seeds from here on; the demo and the self-test use small seeds,
            so that the model is never shown those.
    """

    share: float = Field(default=0.0, ge=0, lt=0.5)
    count: int = Field(default=200, ge=2)
    first_seed: int = Field(default=1_000_000, ge=100_000)


class UnlabelledConfig(_Strict):
    """Images without a label, learned from by what a teacher says of them.

    Attributes:
        teacher: a model folder, or a run folder of `pleura train`; it must not have seen the
            held-out fold. Null for none.
        share: of the draws.
    """

    teacher: Path | None = None
    share: float = Field(default=0.25, gt=0, lt=0.9)


class MendingConfig(_Strict):
    """Matched masks that a teacher finds in another place; see `pleura.training.mending`.

    Attributes:
        teacher: a model folder, or a run folder of `pleura train`; it must not have seen the
            held-out fold. Null for none.
        below: Dice of the teacher's mask and the matched one under which the teacher is believed.
        weight: of a teacher's mask in the place of one that had less.
    """

    teacher: Path | None = None
    below: float = Field(default=0.1, ge=0, le=1)
    weight: float = Field(default=0.7, ge=0, le=1)


class DataConfig(_Strict):
    """Which images.

    Attributes:
        index: Parquet file from `pleura data index`.
        root: folder of the images, when it has moved since the index was written.
        cache: folder of the decoded pixels.
        cache_size: side of the cached images; at least the largest size that is trained on.
        validation_fold: fold of `train` that is held out, or null to train on all of it.
        min_mask_weight: matched masks below this probability are not learned from.
        positive_fraction: share of positives among the draws.
        final_positive_fraction: the same in the last epoch; in between it moves in a straight line;
            null for the same all along.
        one_sided_fraction: share of images whose label source gave labels of one kind only, among
            the draws of their class; null for as many as there are.
        workers: processes that augment; 0 for the training process itself.
        limit: the first n images only, for a trial; null for all.
        mixup: alpha of the beta distribution that mixes pairs of images, labels and masks
            (Zhang et al., ICLR 2018); 0 for none.
        transplant: share of the negatives in a batch that get the pneumothorax of a positive in it;
            see `pleura.training.mixing.transplant`.
        cutmix: alpha of the beta distribution that says how much of an image stays when a box of
            another one is put in (Yun et al., ICCV 2019); 0 for none.
        phantoms: synthetic radiographs among them.
        unlabelled: images without a label among them.
        mending: of matched masks.
    """

    index: Path
    root: Path | None = None
    cache: Path = Path("cache")
    cache_size: int = Field(default=256, gt=0)
    validation_fold: int | None = 0
    min_mask_weight: float = Field(default=0.7, ge=0, le=1)
    positive_fraction: float = Field(default=0.5, gt=0, lt=1)
    final_positive_fraction: float | None = Field(default=None, gt=0, lt=1)
    one_sided_fraction: float | None = Field(default=None, ge=0, le=1)
    workers: int = Field(default=0, ge=0)
    limit: int | None = Field(default=None, gt=0)
    mixup: float = Field(default=0.0, ge=0)
    cutmix: float = Field(default=0.0, ge=0)
    transplant: float = Field(default=0.0, ge=0, le=1)
    phantoms: PhantomConfig = PhantomConfig()
    unlabelled: UnlabelledConfig = UnlabelledConfig()
    mending: MendingConfig = MendingConfig()


class NetworkConfig(_Strict):
    """Which network, and its starting weights.

    Attributes:
        name: key of `pleura.models.NETWORKS`.
        options: arguments of the network's class.
        checkpoint: the user's own starting weights, or a model folder of the same network.
        weights_folder: folder with ImageNet encoders; used when it holds the encoder's file.
        frozen: names of modules that are not trained, normalisation and all below included.
    """

    name: str = "unet"
    options: dict[str, Any] = {}
    checkpoint: Path | None = None
    weights_folder: Path | None = None
    frozen: tuple[str, ...] = ()


class LossConfig(_Strict):
    """Weights of the terms; see `pleura.losses`.

    Attributes:
        image: weight of the image-level cross-entropy.
        bce: weight of the pixel-wise cross-entropy of the mask.
        dice: weight of the Dice loss of the mask.
        positive_weight: factor on the pixel-wise term inside the mask.
        smooth: Dice smoothing, in pixels of the mask's grid.
        focal_gamma: exponent of the focal loss; 0 for cross-entropy.
        dice_on_empty: whether negatives have the Dice term, too.
        lovasz: weight of the Lovász hinge of positives' masks (Berman et al., CVPR 2018).
        cl_dice: weight of the centre-line Dice loss of positives' masks (Shit et al., CVPR 2021).
        area_exponent: positives' masks count as (median area / area) to this power, from 1/4 to 4:
            small pneumothoraces more than large ones; 0 for all alike.
        label_smoothing: labels move this far towards 0.5.
    """

    image: float = Field(default=1.0, ge=0)
    bce: float = Field(default=4.0, ge=0)
    dice: float = Field(default=1.0, ge=0)
    positive_weight: float = Field(default=1.0, gt=0)
    smooth: float = Field(default=1.0, gt=0)
    focal_gamma: float = Field(default=0.0, ge=0)
    dice_on_empty: bool = True
    lovasz: float = Field(default=0.0, ge=0)
    cl_dice: float = Field(default=0.0, ge=0)
    area_exponent: float = Field(default=0.0, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)


class OptimiserConfig(_Strict):
    """AdamW with linear warm-up and cosine decay, by step.

    Attributes:
        learning_rate: peak.
        weight_decay: decoupled.
        warmup_fraction: share of all steps.
        final_fraction: of the peak, at the end.
        clip_norm: largest gradient norm.
        ema_decay: of the averaged weights, which are validated and exported; 0 for none.
    """

    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1)
    final_fraction: float = Field(default=0.01, ge=0, le=1)
    clip_norm: float = Field(default=5.0, gt=0)
    ema_decay: float = Field(default=0.998, ge=0, lt=1)


class ScheduleConfig(_Strict):
    """How long, at which sizes, and when to look.

    Attributes:
        epochs: passes over the training images.
        sizes: image size in pixels by epoch: pairs of (first epoch, size), the first epoch of the
            first pair being 0. Small images first and large ones later train several times faster
            for the same end.
        batch_size: images a step and process.
        validate_every: epochs.
        patience: validations without a better result before the run stops early; null for never.
    """

    epochs: int = Field(default=10, gt=0)
    sizes: tuple[tuple[int, int], ...] = ((0, 256),)
    batch_size: int = Field(default=16, gt=0)
    validate_every: int = Field(default=1, gt=0)
    patience: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _sizes_in_order(self) -> Self:
        starts = [start for start, _ in self.sizes]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)):
            raise ValueError("sizes must start at epoch 0 and go on in rising order")
        if min(size for _, size in self.sizes) < 1:
            raise ValueError("sizes must be positive")
        return self

    def size_by_epoch(self) -> tuple[int, ...]:
        """The image size of every epoch."""
        return tuple(
            max(entry for entry in self.sizes if entry[0] <= epoch)[1]
            for epoch in range(self.epochs)
        )


class HardwareConfig(_Strict):
    """Where it runs; Lightning's names.

    Attributes:
        accelerator: `auto`, `cpu`, `gpu`, `mps`.
        devices: how many, or `auto` for all.
        strategy: of several devices; `auto` means `ddp`.
        precision: `32-true`, or `bf16-mixed` and `16-mixed` where the hardware is fast at them
            (GPUs; processors with avx512_bf16 or AMX; a processor with AVX2 alone is slower).
        threads: of PyTorch on the CPU; null for its own choice.
    """

    accelerator: str = "auto"
    devices: int | Literal["auto"] = "auto"
    strategy: str = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    threads: int | None = Field(default=None, gt=0)


class TrainingConfig(_Strict):
    """A whole run.

    Attributes:
        output: the run folder.
        seed: of everything random.
        preprocessing: what the network is fed; travels into the manifest.
        data: which images.
        network: which network, and its starting weights.
        augmentation: ranges of the random changes; see `pleura.data.augment`.
        loss: weights of the terms.
        optimiser: learning rate and its course.
        schedule: how long, and at which sizes.
        hardware: where it runs.
    """

    output: Path
    seed: int = 0
    preprocessing: Preprocessing = Preprocessing(size=256, mean=0.449, std=0.226)
    data: DataConfig
    network: NetworkConfig = NetworkConfig()
    augmentation: Augmentation = Augmentation()
    loss: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    hardware: HardwareConfig = HardwareConfig()

    def positive_fraction_by_epoch(self) -> tuple[float, ...]:
        """The share of positives among the draws of every epoch."""
        first, last = self.data.positive_fraction, self.data.final_positive_fraction
        last = first if last is None else last
        steps = max(1, self.schedule.epochs - 1)
        return tuple(first + (last - first) * e / steps for e in range(self.schedule.epochs))

    @model_validator(mode="after")
    def _cache_is_fine_enough(self) -> Self:
        largest = max(self.preprocessing.size, *(size for _, size in self.schedule.sizes))
        if largest > self.data.cache_size:
            raise ValueError(
                f"data.cache_size {self.data.cache_size} is below the image size {largest}"
            )
        if self.preprocessing.pad_value != 0:
            raise ValueError("preprocessing.pad_value must be 0: the pixel cache pads with black")
        return self


def load_config(path: Path, overrides: tuple[str, ...] = ()) -> TrainingConfig:
    """Read a YAML file and apply `key.subkey=value` overrides (values are YAML, too).

    Raises:
        ConfigError: unreadable file, unknown key, or a value out of range; the message names each.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration {path} cannot be read.", "Check the path.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"The configuration {path} is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"The configuration {path} is not a table of keys.")
    for override in overrides:
        _apply(raw, override)
    try:
        return TrainingConfig.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'as a whole'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise ConfigError(f"The configuration is not valid: {problems}.") from error


def _apply(raw: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"'{override}' is not of the form key=value.", "Write data.workers=4.")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"The value of '{key}' is not valid YAML.", "Quote it.") from error
    *parents, last = key.split(".")
    table = raw
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ConfigError(f"'{parent}' in '{key}' is not a table of keys.")
    table[last] = parsed
