import json

import pytest

from pleura.cli.main import main
from tiny_run import write_config


def _run(*arguments):
    with pytest.raises(SystemExit) as caught:
        main(["train", *map(str, arguments)])
    return caught.value.code


def test_trains_with_overrides_and_says_where_and_from_what(data, tmp_path, capsys):
    path = write_config(data, tmp_path / "run")
    assert _run(path, "schedule.epochs=1", "seed=5") == 0
    out, err = capsys.readouterr()
    assert out.strip() == str(tmp_path / "run")
    assert "starting weights: random initialisation" in " ".join(err.split())
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["epochs"] == 1


def test_a_wrong_key_is_wrong_usage(data, tmp_path, capsys):
    assert _run(write_config(data, tmp_path / "run"), "schedule.epoch=1") == 2
    assert "schedule.epoch" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_data_that_cannot_be_used_is_another_failure(data, tmp_path, capsys):
    path = write_config(data, tmp_path / "run")
    assert _run(path, f"data.index={tmp_path / 'none.parquet'}") == 1
    err = capsys.readouterr().err
    assert "[not_found]" in err
    assert "hint" in err


def test_weights_that_cannot_be_used_are_another_failure(data, tmp_path, capsys):
    path = write_config(data, tmp_path / "run")
    (tmp_path / "w.pt").write_bytes(b"broken")
    assert _run(path, f"network.checkpoint={tmp_path / 'w.pt'}") == 1
    assert "[model_error]" in capsys.readouterr().err
