"""A training run: from a configuration to a run folder."""

import logging
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.callbacks import (
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
    WeightAveraging,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from pleura.errors import ConfigError
from pleura.models import Network, create_network
from pleura.models.starting_weights import RANDOM, load_starting_weights
from pleura.models.weights import LoadReport
from pleura.training.callbacks import AtomicCheckpoints, Patience, Throughput, warm_average
from pleura.training.config import TrainingConfig
from pleura.training.examples import load_examples
from pleura.training.loaders import RadiographLoaders
from pleura.training.mixing import Mixing
from pleura.training.module import LitNetwork
from pleura.training.processes import processes_of
from pleura.training.record import (
    BEST_NAME,
    CHECKPOINTS,
    CONFIG_NAME,
    LAST_NAME,
    LOGS,
    METRICS_NAME,
    RECORD_NAME,
    epochs_trained,
    last_checkpoint,
    write_metrics,
    write_record,
)
from pleura.training.released import load_released

__all__ = ["BEST_NAME", "CONFIG_NAME", "LAST_NAME", "METRICS_NAME", "RECORD_NAME", "train"]

logger = logging.getLogger(__name__)


def train(config: TrainingConfig, *, progress: bool = False) -> Path:
    """Train, or go on where a killed run stopped, and return the run folder.

    The folder holds `config.yaml`, `run.json` (git revision, data fingerprint, starting weights,
    machine), `checkpoints/last.ckpt` and, with a validation fold, `best.ckpt`, `logs/` (CSV and
    TensorBoard) and, at the end, `metrics.json`.

    Args:
        config: of the run.
        progress: draw a progress bar on stderr.

    Raises:
        ConfigError: the network refuses its options or an image size, or the run folder belongs to
            another network, other data or another held-out fold.
        ModelError: the starting weights cannot be used.
        NotFoundError: there is no such index, or an image that it names is not there.
        DataError: the index has nothing to train on.
    """
    if config.hardware.threads is not None:
        torch.set_num_threads(config.hardware.threads)
    L.seed_everything(config.seed, workers=True, verbose=False)
    network = create_network(config.network.name, **config.network.options)
    _check_sizes(config, network)
    released = config.network.checkpoint is not None and config.network.checkpoint.is_dir()
    starting = RANDOM if released else _starting_weights(config, network)
    data = load_examples(config.data)
    last = last_checkpoint(config.output)
    if released and last is None:
        starting = load_released(network, config, data)
    freeze(network, config.network.frozen)
    trainer = _trainer(config, validated=data.validation.size > 0, progress=progress)
    if trainer.global_rank > 0:  # it mixes and drops out by numbers of its own
        torch.manual_seed(config.seed + trainer.global_rank)
    if trainer.is_global_zero:
        write_record(config, data, starting)
        if last is None:
            logger.info("starting weights: %s", starting.summary())
        else:
            logger.info("going on from %s", last)
    trainer.fit(
        LitNetwork(
            network.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
            config.loss,
            config.optimiser,
            Mixing(config.data.transplant, config.data.mixup, config.data.cutmix),
        ),
        datamodule=RadiographLoaders(
            config, data, network.output_stride, 0 if last is None else epochs_trained(last)
        ),
        ckpt_path=None if last is None else str(last),
        weights_only=True,
    )
    if trainer.is_global_zero:
        write_metrics(config.output, trainer)
    return config.output


def _starting_weights(config: TrainingConfig, network: Network) -> LoadReport:
    return load_starting_weights(
        network,
        config.network.checkpoint,
        config.network.weights_folder,
        config.preprocessing.mean,
        config.preprocessing.std,
    )


def freeze(network: Network, names: tuple[str, ...]) -> None:
    """Leave modules as they are: no gradient, and normalisation by the stored statistics.

    What comes before the first trained layer then costs a forward pass alone. The trainer keeps
    the modes that it finds.

    Args:
        network: changed in place.
        names: of modules, such as `encoder.blocks.0`; what lies below them is frozen, too.

    Raises:
        ConfigError: the network has no such module.
    """
    modules = dict(network.named_modules())
    for name in names:
        if name not in modules:
            raise ConfigError(
                f"The network has no module '{name}' to freeze.",
                "Check network.frozen against the names of the network's modules.",
            )
        modules[name].requires_grad_(False).eval()


def _check_sizes(config: TrainingConfig, network: Network) -> None:
    for size in {config.preprocessing.size, *config.schedule.size_by_epoch()}:
        if size % network.stride:
            raise ConfigError(
                f"Image size {size} is not divisible by {network.stride}, "
                f"as the network '{config.network.name}' needs.",
                "Check preprocessing.size and schedule.sizes.",
            )


def _trainer(config: TrainingConfig, validated: bool, progress: bool) -> L.Trainer:
    schedule, hardware = config.schedule, config.hardware
    logs = config.output / LOGS
    processes = processes_of(hardware)
    plugins: list[Any] = [AtomicCheckpoints()]
    if processes.slurm:  # the run folder is what a requeued job goes on from
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return L.Trainer(
        default_root_dir=config.output,
        accelerator=hardware.accelerator,
        devices=processes.devices,
        num_nodes=processes.nodes,
        strategy=hardware.strategy,
        precision=hardware.precision,
        max_epochs=schedule.epochs,
        check_val_every_n_epoch=schedule.validate_every,
        limit_val_batches=None if validated else 0,
        gradient_clip_val=config.optimiser.clip_norm,
        callbacks=_callbacks(config, validated, progress),
        plugins=plugins,
        logger=[CSVLogger(logs, name="csv"), TensorBoardLogger(logs, name="tensorboard")],
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_progress_bar=progress,
    )


def _callbacks(config: TrainingConfig, validated: bool, progress: bool) -> list[L.Callback]:
    folder = config.output / CHECKPOINTS
    callbacks: list[L.Callback] = [
        ModelCheckpoint(
            folder,
            filename=LAST_NAME.removesuffix(".ckpt"),
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        ),
        LearningRateMonitor("step"),
        Throughput(),
    ]
    if validated:
        callbacks.append(
            ModelCheckpoint(
                folder,
                filename=BEST_NAME.removesuffix(".ckpt"),
                enable_version_counter=False,
                monitor="val/score",
                mode="max",
            )
        )
    if config.optimiser.ema_decay > 0:
        callbacks.append(WeightAveraging(avg_fn=warm_average(config.optimiser.ema_decay)))
    if validated and config.schedule.patience is not None:
        callbacks.append(Patience("val/score", config.schedule.patience))
    if progress:
        callbacks.append(RichProgressBar(console_kwargs={"stderr": True}))
    return callbacks
