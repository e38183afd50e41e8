"""Two networks of one descent made one."""

import json

import pytest
import torch

from pleura.cli.main import main
from pleura.errors import ModelError, OutputError
from pleura.export.release import ExportOptions, export_run
from pleura.training.average import average
from pleura.training.checkpoint import load_network
from pleura.training.config import load_config
from pleura.training.run import train
from tiny_run import config


@pytest.fixture(scope="module")
def further(run, data, joint, tmp_path_factory):
    """A run that went on from the other one."""
    start = f"network.checkpoint={run / 'checkpoints' / 'last.ckpt'}"
    return train(config(data, tmp_path_factory.mktemp("runs") / "further", *joint, start, "seed=9"))


def network_of(folder):
    return load_network(folder, load_config(folder / "config.yaml"), "last")


def test_weights_are_the_mean_and_statistics_are_measured_anew(run, further, tmp_path):
    average(further, run, tmp_path / "mean", share=0.25)
    states = [network_of(folder).state_dict() for folder in (further, run, tmp_path / "mean")]
    moved = 0
    for name, value in states[2].items():
        expected = torch.lerp(states[0][name].float(), states[1][name].float(), 0.25)
        if "running_" not in name and value.is_floating_point():
            torch.testing.assert_close(value, expected)
        elif "running_var" in name:
            moved += int(not torch.allclose(value, expected))
    assert moved > 5
    record = json.loads((tmp_path / "mean" / "run.json").read_text())["averaged"]
    assert (record["with"], record["share"]) == ("joint", 0.25)
    assert len(record["with_sha256"]) == len(record["run_sha256"]) == 64


def test_the_mean_is_exported_at_the_size_that_it_was_given(run, further, tmp_path):
    average(further, run, tmp_path / "mean", size=32)
    manifest = export_run(tmp_path / "mean", tmp_path / "model", ExportOptions(checkpoint="last"))
    assert manifest.preprocessing.size == 32
    assert manifest.training["averaged"]["share"] == 0.5


def test_a_model_folder_is_averaged_with_too(run, further, tmp_path):
    export_run(run, tmp_path / "model", ExportOptions(checkpoint="last"))
    average(further, tmp_path / "model", tmp_path / "mean")
    network = network_of(tmp_path / "mean")
    assert torch.isfinite(network(torch.zeros(1, 1, 64, 64)).logit).all()


def test_what_cannot_be_averaged(run, further, data, joint, tmp_path):
    with pytest.raises(ValueError, match="between 0 and 1"):
        average(further, run, tmp_path / "mean", share=1.0)
    with pytest.raises(OutputError, match="holds a run already"):
        average(further, run, further)
    elsewhere = train(config(data, tmp_path / "elsewhere", *joint, "data.validation_fold=1"))
    with pytest.raises(ModelError, match="did not leave out the same images"):
        average(further, elsewhere, tmp_path / "mean")


def test_the_command(run, further, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["average", str(further), str(run), "-o", str(tmp_path / "mean"), "--share", "0.4"])
    assert not ended.value.code
    assert "The mean of further and joint" in capsys.readouterr().out
    assert (tmp_path / "mean" / "checkpoints" / "last.ckpt").is_file()
