"""Two processes train as one: whoever starts them, killed and gone on with, into one run folder.

The normalisations are frozen, so that a step of two processes on two images each is, but for
rounding, the step of one process on four.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
from torch import nn

from pleura.errors import ConfigError
from pleura.models import create_network
from pleura.training.config import HardwareConfig
from pleura.training.processes import Processes, is_first, processes_of
from pleura.training.run import train
from tiny_run import config, write_config

EPOCHS = 8
BOUND_S = 120
NETWORK = {"encoder": "mobilenet_v2", "decoder_widths": [16, 12, 8], "output_stride": 4}
OPTIONS = (
    "network.name=unet",
    f"network.options={{{', '.join(f'{k}: {v}' for k, v in NETWORK.items())}, dropout: 0}}",
    "schedule.sizes=[[0, 64]]",
    "preprocessing.size=64",
    f"schedule.epochs={EPOCHS}",
)


@pytest.fixture(scope="module")
def options():
    """Overrides of every run here."""
    modules = create_network("unet", **NETWORK).named_modules()
    norms = [name for name, module in modules if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) > 50
    return (*OPTIONS, f"network.frozen=[{', '.join(norms)}]")


@pytest.fixture(scope="module")
def alone(data, options, tmp_path_factory):
    """Run folder of one process with the batch of two."""
    output = tmp_path_factory.mktemp("alone") / "run"
    return train(config(data, output, *options, "schedule.batch_size=4"))


@pytest.fixture
def start(data, options, tmp_path):
    """Starts `pleura train` on half the batch; what is left at the end of the test is killed."""
    program = tmp_path / "program.py"
    program.write_text("from pleura.cli.main import main\nmain()\n")
    started = []

    def starter(output, *overrides, launcher=(), **environment):
        cache = f"data.cache={tmp_path / 'cache'}"
        arguments = [str(write_config(data, output)), *options, "schedule.batch_size=2", cache]
        process = subprocess.Popen(
            [sys.executable, *launcher, str(program), "train", *arguments, *overrides],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        )
        started.append(process)
        return process

    yield starter
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _end(*processes):
    """What they said on stdout and stderr; all must end well."""
    said = [process.communicate(timeout=BOUND_S) for process in processes]
    for process, (_, err) in zip(processes, said, strict=True):
        assert process.returncode == 0, err
    return said


def _free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def _checkpoint(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def _assert_the_same_run(folder, alone):
    """Weights, steps and figures; a draw that was lost or seen twice would move the weights."""
    ours, theirs = _checkpoint(folder), _checkpoint(alone)
    assert ours["global_step"] == theirs["global_step"] == EPOCHS * 2  # 8 draws in batches of 4
    for key, tensor in theirs["state_dict"].items():
        torch.testing.assert_close(ours["state_dict"][key], tensor, rtol=1e-4, atol=1e-6, msg=key)
    figures = [json.loads((run / "metrics.json").read_text()) for run in (folder, alone)]
    for name in ("val/auc", "val/average_precision", "val/dice_positives", "best/score", "epochs"):
        assert figures[0][name] == pytest.approx(figures[1][name], abs=1e-4), name
    assert figures[0]["val/loss"] == pytest.approx(figures[1]["val/loss"], rel=1e-4)


def _files(folder):
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "tfevents" not in path.name
    )


def test_as_many_as_are_asked_for(start, alone, tmp_path):
    ((out, err),) = _end(start(tmp_path / "run", "hardware.devices=2"))
    _assert_the_same_run(tmp_path / "run", alone)
    assert _files(tmp_path / "run") == _files(alone)
    assert out.split() == [str(tmp_path / "run")]
    for once in ("decoding 12 images", "starting weights", f"epoch {EPOCHS} of {EPOCHS}"):
        assert " ".join(err.split()).count(once) == 1, once
    folders = [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()]
    assert len(folders) == 1


def test_started_by_slurm_killed_and_gone_on_with_by_torchrun(start, alone, tmp_path):
    """Two machines, as far as one can tell: each process is the only one of its node."""
    output = tmp_path / "run"
    last, port = output / "checkpoints" / "last.ckpt", str(_free_port())
    slurm = {
        "SLURM_JOB_ID": "12345",
        "SLURM_JOB_NAME": "pleura",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_NNODES": "2",
        "SLURM_NODELIST": "localhost",
        "SLURM_LOCALID": "0",
        "MASTER_PORT": port,
    }
    first, second = (
        start(output, **slurm, SLURM_PROCID=str(rank), SLURM_NODEID=str(rank)) for rank in (0, 1)
    )
    end = time.monotonic() + BOUND_S
    while not last.exists():
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    second.communicate(timeout=BOUND_S)  # it does not train on alone, and does not wait for ever
    assert second.returncode != 0
    finished = _checkpoint(output)["epoch"] + 1
    assert 1 <= finished < EPOCHS

    agent = ("-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1")
    meeting = ("--rdzv-backend", "c10d", "--rdzv-endpoint", f"localhost:{_free_port()}")
    said = _end(*(start(output, launcher=(*agent, *meeting)) for _ in range(2)))
    _assert_the_same_run(output, alone)
    assert len(json.loads((output / "run.json").read_text())["resumed"]) == 1
    assert sorted(path.name for path in output.glob("logs/csv/*")) == ["version_0", "version_1"]
    assert sorted(out.strip() for out, _ in said) == ["", str(output)]
    epochs = sum(" ".join(err.split()).count(f"of {EPOCHS}: ") for _, err in said)
    assert epochs == EPOCHS - finished


@pytest.fixture
def bare(monkeypatch):
    """The environment without any launcher."""
    for name in list(os.environ):
        if name.startswith(("SLURM_", "TORCHELASTIC_")) or name.endswith(("RANK", "WORLD_SIZE")):
            monkeypatch.delenv(name)
    return monkeypatch


def test_without_a_launcher_the_configuration_says_how_many(bare):
    assert processes_of(HardwareConfig(devices=3)) == Processes(3, 1)
    assert processes_of(HardwareConfig()) == Processes("auto", 1)
    assert is_first()


def _torchrun(environment, here, everywhere):
    environment.setenv("TORCHELASTIC_RUN_ID", "x")
    for rank in ("RANK", "GROUP_RANK", "LOCAL_RANK"):
        environment.setenv(rank, "0")
    environment.setenv("LOCAL_WORLD_SIZE", str(here))
    environment.setenv("WORLD_SIZE", str(everywhere))


def test_torchrun_says_how_many(bare):
    _torchrun(bare, 4, 12)
    assert processes_of(HardwareConfig(devices=1)) == Processes(4, 3)
    assert is_first()
    bare.setenv("RANK", "4")  # the first of the second machine
    assert not is_first()


def test_slurm_says_how_many(bare):
    bare.setenv("SLURM_JOB_NAME", "pleura")
    bare.setenv("SLURM_NTASKS", "8")
    with pytest.raises(ConfigError, match="not a known, equal number"):
        processes_of(HardwareConfig())
    bare.setenv("SLURM_NTASKS_PER_NODE", "4")
    assert processes_of(HardwareConfig()) == Processes(4, 2, slurm=True)
    bare.setenv("SLURM_NTASKS", "7")
    with pytest.raises(ConfigError, match="7 processes were started"):
        processes_of(HardwareConfig())


def test_more_devices_than_the_launcher_has_processes_for_is_wrong(bare):
    _torchrun(bare, 1, 2)
    with pytest.raises(ConfigError, match=r"hardware\.devices is 4, but 1 processes run on this"):
        processes_of(HardwareConfig(devices=4))
