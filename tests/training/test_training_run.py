import csv
import json
from hashlib import sha256

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.optim.swa_utils import AveragedModel

from pleura.data.index import read_index
from pleura.errors import ConfigError
from pleura.models import create_network
from pleura.training.callbacks import warm_average
from pleura.training.config import load_config
from pleura.training.module import LitNetwork
from pleura.training.run import train
from tiny_run import IMAGES, config, write_data

UNET = (
    "network.name=unet",
    "network.options={encoder: mobilenet_v2, decoder_widths: [16, 12, 8], output_stride: 4}",
    "schedule.sizes=[[0, 32], [1, 64]]",
    "preprocessing.size=64",
    "schedule.batch_size=4",
)


def _checkpoint(folder, name="last"):
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
    """Run folder of a joint U-Net trained for two epochs."""
    return train(config(data, tmp_path_factory.mktemp("runs") / "unet", *UNET))


def test_the_folder_says_what_was_trained_on_what(folder, data):
    stored = load_config(folder / "config.yaml")
    assert stored == config(data, folder, *UNET)
    record = json.loads((folder / "run.json").read_text())
    assert record["data_fingerprint"] == read_index(data / "index.parquet").fingerprint
    assert isinstance(record["git_revision"], str)
    assert record["starting_weights"] == "random initialisation"
    assert record["starting_sha256"] == ""
    assert record["training_images"] == 8
    assert record["training_positives"] == 4
    assert record["validation_images"] == 4
    assert record["refused_images"] == {}
    assert record["resumed"] == []


def test_the_figures_are_written_and_plausible(folder):
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["epochs"] == 2
    for name in ("val/auc", "val/average_precision", "val/dice_positives", "val/score"):
        assert 0 <= metrics[name] <= 1, name
    score = (metrics["val/auc"] + metrics["val/dice_positives"]) / 2
    assert metrics["val/score"] == pytest.approx(score)
    assert metrics["best/score"] >= metrics["val/score"] - 1e-6
    assert metrics["val/loss"] > 0
    assert metrics["train/images_per_second"] > 0


def test_both_logs_hold_every_validation(folder):
    (path,) = folder.glob("logs/csv/*/metrics.csv")
    with path.open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["val/score"]]
    assert [int(row["epoch"]) for row in rows] == [0, 1]
    (events,) = folder.glob("logs/tensorboard/*/events*")
    accumulator = EventAccumulator(str(events)).Reload()
    written = [event.value for event in accumulator.Scalars("val/score")]
    assert written == pytest.approx([float(row["val/score"]) for row in rows], rel=1e-5)


def test_the_checkpoints_load_into_the_network(folder):
    names = [path.name for path in sorted((folder / "checkpoints").iterdir())]
    assert names == ["best.ckpt", "last.ckpt"]
    stored = load_config(folder / "config.yaml")
    for name in ("best", "last"):
        state = _checkpoint(folder, name)["state_dict"]
        assert all(key.startswith("network.") for key in state)
        network = create_network(stored.network.name, **stored.network.options)
        network.load_state_dict({key.removeprefix("network."): t for key, t in state.items()})
        for key, tensor in network.state_dict().items():
            assert torch.isfinite(tensor).all(), key


def test_a_run_that_has_ended_stays_as_it_is(folder):
    metrics = (folder / "metrics.json").read_text()
    assert train(load_config(folder / "config.yaml")) == folder
    assert (folder / "metrics.json").read_text() == metrics


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("network.options.output_stride=2", "network.options"),
        ("preprocessing.mean=0.5", "preprocessing"),
        ("data.index={other}", "data.index"),
        ("data.validation_fold=1", "data.validation_fold"),
        ("data.limit=10", "data.limit"),
    ],
)
def test_a_folder_of_another_run_is_not_gone_on_with(folder, override, named, data):
    other = data / "other.parquet"
    if "other" in override:
        from pleura.data.index import Index, write_index

        index = read_index(data / "index.parquet")
        table = index.table.assign(age_years=50.0)
        write_index(Index(table, index.root, index.layout), other)
    stored = yaml.safe_load((folder / "config.yaml").read_text())
    before = (folder / "run.json").read_text()
    stored["network"]["options"]["decoder_widths"] = [16, 12, 8, 8]
    if "options" not in override:
        stored["network"]["options"]["decoder_widths"] = [16, 12, 8]
    changed = folder.parent / "changed.yaml"
    changed.write_text(yaml.safe_dump(stored))
    with pytest.raises(ConfigError, match="was trained with another") as caught:
        train(load_config(changed, (override.format(other=other),)))
    assert named in caught.value.message
    assert (folder / "run.json").read_text() == before


def test_a_size_that_the_network_cannot_take_is_refused_before_anything_starts(data, tmp_path):
    with pytest.raises(ConfigError, match="Image size 60 is not divisible by 8"):
        train(config(data, tmp_path / "run", "schedule.epochs=9", "schedule.sizes=[[0,32],[8,60]]"))
    assert not (tmp_path / "run").exists()


def test_the_seed_decides_the_weights(data, tmp_path):
    states = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        overrides = (f"seed={seed}", "network.options.dropout=0.2", "schedule.epochs=1")
        folder = train(config(data, tmp_path / name, *overrides))
        states.append(_checkpoint(folder)["state_dict"])
    weight = "network.densenet.features.conv0.weight"
    for key in states[0]:
        assert torch.equal(states[0][key], states[1][key]), key
    assert not torch.equal(states[0][weight], states[2][weight])


def test_the_checkpoint_holds_the_averaged_weights(data, tmp_path):
    """One step an epoch at a constant rate: the average of two steps can be worked out.

    The second step is the first to be averaged; the warm-up lets 2 / 11 of the first one stay.
    """
    one_step = ("schedule.batch_size=8", "optimiser.final_fraction=1", "optimiser.ema_decay=0.75")
    folder = tmp_path / "run"
    train(config(data, folder, *one_step, "schedule.epochs=1"))
    first = _checkpoint(folder)
    assert first["global_step"] == 1
    train(config(data, folder, *one_step, "schedule.epochs=2"))
    second = _checkpoint(folder)
    assert second["global_step"] == 2
    for key in ("network.densenet.features.conv0.weight", "network.densenet.class_layers.out.bias"):
        before, now = first["current_model_state"][key], second["current_model_state"][key]
        assert not torch.equal(before, now)
        expected = 2 / 11 * before + 9 / 11 * now
        torch.testing.assert_close(second["state_dict"][key], expected)


def test_the_average_forgets_the_start_and_then_keeps_its_decay():
    network = torch.nn.Linear(1, 1, bias=False)
    average = AveragedModel(network, avg_fn=warm_average(0.9))
    expected = 0.0
    for update in range(300):
        network.weight.data.fill_(float(update))
        average.update_parameters(network)
        kept = 0.0 if update == 0 else min(0.9, (1 + update) / (10 + update))
        expected = kept * expected + (1 - kept) * update
        assert average.module.weight.item() == pytest.approx(expected, rel=1e-5)
    assert expected == pytest.approx(299 - 9, abs=0.1)  # lags by d / (1 - d) steps of 1


def test_without_averaging_and_validation(data, tmp_path):
    folder = train(
        config(
            data,
            tmp_path / "run",
            "optimiser.ema_decay=0",
            "data.validation_fold=null",
            "schedule.epochs=1",
        )
    )
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["last.ckpt"]
    assert "current_model_state" not in _checkpoint(folder)
    assert json.loads((folder / "run.json").read_text())["training_images"] == 12


def test_patience_ends_a_run_that_no_longer_improves(data, tmp_path):
    folder = train(
        config(
            data,
            tmp_path / "run",
            "optimiser.learning_rate=1e-12",
            "optimiser.ema_decay=0",
            "schedule.epochs=30",
            "schedule.patience=2",
        )
    )
    metrics = (folder / "metrics.json").read_text()
    ended = json.loads(metrics)["epochs"]
    assert ended < 30
    stored = load_config(folder / "config.yaml")
    for _ in range(2):
        train(stored)
        assert _checkpoint(folder)["epoch"] == ended - 1
        assert (folder / "metrics.json").read_text() == metrics
    train(load_config(folder / "config.yaml", ("schedule.patience=4",)))
    assert _checkpoint(folder)["epoch"] == ended - 1 + 2


def test_a_run_records_the_hash_of_its_starting_file(folder, data, tmp_path):
    start = folder / "checkpoints" / "last.ckpt"
    overrides = (*UNET, f"network.checkpoint={start}", "schedule.epochs=1")
    record = json.loads(
        (train(config(data, tmp_path / "run", *overrides)) / "run.json").read_text()
    )
    assert record["starting_weights"] == "checkpoint last.ckpt"
    assert record["starting_sha256"] == sha256(start.read_bytes()).hexdigest()


def test_held_out_images_of_one_sided_sources_are_neither_trained_nor_validated_on(
    tmp_path, monkeypatch
):
    """Images 2, 4, 6 are such negatives, 6 in fold 0; the others are not drawn at a share of 0."""
    sources = ["reports" if number in (2, 4, 6) else "reader" for number in range(IMAGES)]
    write_data(tmp_path, label_source=sources)
    seen = {"training_step": set(), "validation_step": set()}
    for name, positions in seen.items():
        step = getattr(LitNetwork, name)

        def record(self, batch, index, step=step, positions=positions):
            positions.update(batch["position"].tolist())
            return step(self, batch, index)

        monkeypatch.setattr(LitNetwork, name, record)
    folder = train(config(tmp_path, tmp_path / "run", "data.one_sided_fraction=0"))
    assert seen["validation_step"] == {0, 1, 7}
    assert seen["training_step"] == {3, 5, 8, 9, 10, 11}
    record = json.loads((folder / "run.json").read_text())
    assert (record["training_images"], record["validation_images"]) == (8, 3)


def test_a_frozen_module_that_is_not_there(data, tmp_path):
    with pytest.raises(ConfigError, match="no module 'encoder' to freeze"):
        train(config(data, tmp_path / "run", "network.frozen=[encoder]"))


def test_frozen_modules_stay_as_they_were_statistics_included(data, tmp_path):
    start = create_network("chexnet", **config(data, tmp_path / "run").network.options)
    torch.save(start.state_dict(), tmp_path / "start.pt")
    folder = train(
        config(
            data,
            tmp_path / "run",
            f"network.checkpoint={tmp_path / 'start.pt'}",
            "network.frozen=[densenet.features.conv0, densenet.features.norm0]",
            "data.mixup=0.4",
        )
    )
    ended = _checkpoint(folder)["state_dict"]
    before = {f"network.{name}": value for name, value in start.state_dict().items()}
    frozen = [name for name in before if ".conv0." in name or ".norm0." in name]
    assert len(frozen) == 6
    for name in frozen:
        assert torch.equal(ended[name], before[name]), name
    assert not torch.equal(
        ended["network.densenet.class_layers.out.weight"],
        before["network.densenet.class_layers.out.weight"],
    )
    assert not torch.equal(
        ended["network.densenet.features.norm5.running_mean"],
        before["network.densenet.features.norm5.running_mean"],
    )
