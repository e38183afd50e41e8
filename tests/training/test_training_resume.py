import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from torch.utils.data import DataLoader

from pleura.training import loaders
from pleura.training.callbacks import AtomicCheckpoints
from pleura.training.module import LitNetwork
from pleura.training.run import train
from tiny_run import config, write_config

EPOCHS = 25
PROGRAM = "from pleura.cli.main import main; main()"


@pytest.fixture(scope="module")
def killed(data, tmp_path_factory):
    """Run folder of a run that was killed after its first checkpoint."""
    output = tmp_path_factory.mktemp("runs") / "killed"
    path = write_config(data, output)
    last = output / "checkpoints" / "last.ckpt"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "train", str(path), f"schedule.epochs={EPOCHS}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        while not last.exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    return output


@pytest.fixture(scope="module")
def resumed(killed, data):
    """The same folder after a second start, and how many epochs the first one had finished."""
    last = killed / "checkpoints" / "last.ckpt"
    finished = torch.load(last, weights_only=True)["epoch"] + 1
    train(config(data, killed, f"schedule.epochs={EPOCHS}"))
    return killed, finished


def test_a_killed_run_goes_on_and_ends_at_the_same_epoch(resumed):
    folder, finished = resumed
    assert 1 <= finished < EPOCHS
    assert json.loads((folder / "metrics.json").read_text())["epochs"] == EPOCHS
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["epoch"] == EPOCHS - 1
    assert checkpoint["global_step"] == EPOCHS * 4  # 8 images in batches of 2
    assert len(json.loads((folder / "run.json").read_text())["resumed"]) == 1


def test_it_did_not_start_again(resumed):
    folder, finished = resumed
    with (folder / "logs" / "csv" / "version_1" / "metrics.csv").open() as stream:
        epochs = [int(row["epoch"]) for row in csv.DictReader(stream) if row["val/score"]]
    assert epochs == list(range(finished, EPOCHS))


def test_it_ends_with_the_weights_of_a_run_that_was_left_alone(resumed, data, tmp_path):
    whole = train(config(data, tmp_path / "whole", f"schedule.epochs={EPOCHS}"))
    states = [
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (resumed[0], whole)
    ]
    for key, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][key], rtol=1e-4, atol=1e-5, msg=key)


def test_a_failed_write_leaves_the_earlier_checkpoint(tmp_path):
    writer = AtomicCheckpoints()
    path = tmp_path / "last.ckpt"
    writer.save_checkpoint({"epoch": 1}, path)
    with pytest.raises((AttributeError, TypeError)):
        writer.save_checkpoint({"epoch": (n for n in [2])}, path)  # a generator has no pickle
    assert torch.load(path, weights_only=True) == {"epoch": 1}


class EagerLoader(DataLoader):
    """Takes all indices at iter(), as one with workers takes its first ones."""

    def __iter__(self):
        taken = list(self.batch_sampler)
        return (self.collate_fn([self.dataset[draw] for draw in batch]) for batch in taken)


def test_a_loader_that_draws_ahead_draws_the_epoch_that_is_trained(data, tmp_path, monkeypatch):
    """Epochs differ in draws and image size; a resumed run has its own from the start."""
    monkeypatch.setattr(loaders, "DataLoader", EagerLoader)
    seen = []
    step = LitNetwork.training_step

    def record(self, batch, batch_index):
        shape = tuple(batch["image"].shape[-2:])
        seen.append((self.current_epoch, shape, batch["position"].tolist()))
        return step(self, batch, batch_index)

    monkeypatch.setattr(LitNetwork, "training_step", record)
    options = ("schedule.sizes=[[0, 32], [1, 40], [2, 48]]", "preprocessing.size=48")
    train(config(data, tmp_path / "whole", *options, "schedule.epochs=3"))
    whole, seen[:] = list(seen), []
    sizes = "schedule.sizes=[[0, 32], [1, 40]]"
    train(config(data, tmp_path / "run", sizes, options[1], "schedule.epochs=2"))
    assert seen == [entry for entry in whole if entry[0] < 2]
    seen.clear()
    train(config(data, tmp_path / "run", *options, "schedule.epochs=3"))
    assert seen == [entry for entry in whole if entry[0] == 2]
    assert {shape for _, shape, _ in seen} == {(48, 48)}
