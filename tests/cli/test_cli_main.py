"""The program: version, help, commands found late, missing extras, models, demo, self-test."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pleura import __version__
from pleura.cli.demo import CASES, dice
from pleura.cli.main import COMMANDS, main
from pleura.inference import Predictor
from pleura.inference.manifest import MaskRule, SelftestCase
from pleura.inference.selftest import Comparison, measure
from tiny_model import write_model

BLOCKED = [
    "torch",
    "monai",
    "lightning",
    "pandas",
    "matplotlib",
    "sklearn",
    "pyarrow",
    "onnx",
    "torchmetrics",
    "yaml",
]
BLOCK = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {set(BLOCKED)!r}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)
sys.meta_path.insert(0, Blocker())
"""


def program(*arguments: object, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program in a fresh process in which no package of an extra can be imported."""
    script = f"{BLOCK}\n{code}\nfrom pleura.cli.main import main\nmain(sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "--version") == (0, f"pleura {__version__}\n", "")


def test_help_lists_every_command_even_without_the_extras() -> None:
    done = program("--help")
    assert done.returncode == 0, done.stderr
    for name, command in COMMANDS.items():
        assert name in done.stdout
        assert command.help.split()[0] in done.stdout
    assert "not a medical device" in done.stdout


def test_predict_and_its_help_need_no_extra(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m")
    helped = program("predict", "--help")
    assert helped.returncode == 0, helped.stderr
    assert "not a medical device" in helped.stdout
    (tmp_path / "notes.txt").write_text("text")
    done = program("predict", tmp_path / "notes.txt", "--model", model, "--jsonl")
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "not_an_image"


def test_predict_imports_no_other_command_and_no_extra(tmp_path: Path) -> None:
    """With everything installed, nothing heavy is imported all the same."""
    model = write_model(tmp_path / "m")
    (tmp_path / "notes.txt").write_text("text")
    script = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('MODULES', *sorted(sys.modules), file=sys.stderr))\n"
        "from pleura.cli.main import main\nmain(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "predict", tmp_path / "notes.txt", "--model", model],
        capture_output=True,
        text=True,
        check=False,
    )
    modules = set(done.stderr.split("MODULES", 1)[1].split())
    assert "pleura.cli.predict" in modules
    assert not modules & {f"pleura.cli.{name}" for name in COMMANDS if name != "predict"}
    assert not modules & set(BLOCKED)


@pytest.mark.parametrize("name", ["train", "evaluate", "export"])
def test_a_missing_extra_is_named_with_its_remedy(name: str, tmp_path: Path) -> None:
    """The import may fail at the top of the command's file or inside it: one answer."""
    late = (
        "import types, typer\n"
        f"module = types.ModuleType('pleura.cli.{name}')\n"
        f"def {name}():\n    import torch.nn\n"
        f"module.{name} = {name}\n"
        f"sys.modules['pleura.cli.{name}'] = module\n"
    )
    early = (
        "class Early:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == 'pleura.cli.{name}':\n"
        "            import pandas\n"
        "sys.meta_path.insert(0, Early())\n"
    )
    for code in (late, early):
        done = program(name, code=code)
        assert done.returncode == 2
        assert "pip install 'pleura[train]'" in done.stderr
        assert "Traceback" not in done.stderr


def test_an_unknown_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = call(capsys, "predikt")
    assert status == 2
    assert "predikt" in err


def test_models_show_tells_the_manifest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = write_model(tmp_path / "m")
    (model / "README.md").write_text("# Card of the tiny model\n")
    status, out, _ = call(capsys, "models", "show", model)
    assert status == 0
    for said in ("tiny 0.0.1", "balanced (default)", ">= 0.500", "sensitivity 0.950", "# Card of"):
        assert said in out
    status, out, _ = call(capsys, "models", "show", model, "--json")
    assert json.loads(out) == json.loads((model / "manifest.json").read_text())
    assert call(capsys, "models", "show", tmp_path)[0] == 2


def test_models_list_names_the_installed_ones(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pleura.inference.registry.weights_folder", lambda: tmp_path)
    status, out, _ = call(capsys, "models", "list")
    assert status == 0
    assert "No model is installed" in out
    write_model(tmp_path / "small")
    write_model(tmp_path / "large")
    (tmp_path / "DEFAULT").write_text("large")
    status, out, _ = call(capsys, "models", "list")
    assert status == 0
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["*", "large"],
        ["small", "0.0.1"],
    ]


def test_selftest_agrees_with_what_was_recorded_and_finds_what_was_not(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = write_model(tmp_path / "m")
    status, _, err = call(capsys, "selftest", "--model", model)
    assert status == 2
    assert "records no self-test cases" in err

    case = measure(Predictor.load(model), 3, True)
    good = write_model(tmp_path / "good", selftest=(case,))
    status, out, _ = call(capsys, "selftest", "--model", good)
    assert status == 0, out
    assert "1 of 1 agree" in out

    other = case.model_copy(update={"probability": abs(case.probability - 0.03)})
    bad = write_model(tmp_path / "bad", selftest=(other,))
    status, out, _ = call(capsys, "selftest", "--model", bad)
    assert status == 1
    assert "DIFFERS" in out
    assert "0 of 1 agree" in out


@pytest.mark.parametrize(
    ("probability", "area_px", "agrees"),
    [
        (0.5, 1000, True),
        (0.519, 1049, True),
        (0.481, 951, True),
        (0.521, 1000, False),
        (0.479, 1000, False),
        (0.5, 1051, False),
        (0.5, 949, False),
    ],
)
def test_selftest_tolerances(probability: float, area_px: int, agrees: bool) -> None:
    def case(probability: float, area_px: int) -> SelftestCase:
        return SelftestCase(seed=1, pneumothorax=True, probability=probability, area_px=area_px)

    assert Comparison(case(0.5, 1000), case(probability, area_px)).agrees is agrees


def test_demo_writes_everything_and_holds_the_model_to_the_truth(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiny model knows nothing of lungs: it calls both the same and is wrong about one."""
    assert sorted(pneumothorax for _, pneumothorax in CASES) == [False, False, True, True]
    monkeypatch.setattr("pleura.cli.demo.CASES", CASES[:2])
    out_folder = tmp_path / "demo"
    status, out, _ = call(capsys, "demo", "-o", out_folder, "--model", write_model(tmp_path / "m"))
    assert status == 1
    assert "SYNTHETIC" in out
    assert "Dice" in out
    assert len(list((out_folder / "inputs").glob("*.dcm"))) == 2
    assert len((out_folder / "predictions.jsonl").read_text().splitlines()) == 2
    assert len((out_folder / "predictions.csv").read_text().splitlines()) == 3
    assert len(list((out_folder / "overlays").glob("*.png"))) == 2
    assert "of 2 right" in out


def test_demo_is_content_with_a_model_that_is_right(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that calls everything a finding, everywhere, is right about a true one."""
    monkeypatch.setattr("pleura.cli.demo.CASES", ((1, True),))
    model = write_model(tmp_path / "m", mask_rule=MaskRule(threshold=0.0))
    status, out, _ = call(capsys, "demo", "-o", tmp_path / "demo", "--model", model)
    assert status == 0, out
    assert "1 of 1 right" in out


def test_dice_of_known_masks() -> None:
    truth, mask = np.zeros((4, 4), dtype=bool), np.zeros((4, 4), dtype=bool)
    truth[:2], mask[1:3] = True, True
    assert dice(truth, mask) == 0.5
    assert dice(truth, truth) == 1.0
    assert dice(truth, ~truth) == 0.0
