"""`pleura predict` as a user meets it: exit status, outputs, mixed folders, archives, pipes."""

import csv
import json
import os
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from pleura.cli.main import main
from pleura.inference import Manifest, Predictor
from tiny_model import radiograph, write_model

POSITIVE = (60, 40, 120, 100)


class Run:
    """What one call of the program left behind."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def pleura(capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    def run(*arguments: object) -> Run:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Run(ended.value.code or 0, captured.out, captured.err)  # type: ignore[arg-type]

    return run


def png(path: Path, box: tuple[int, int, int, int] | None = POSITIVE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.rint(radiograph(box=box).pixels * 255).astype(np.uint8))
    return path


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two good files, one cut off, one that is no image."""
    folder = tmp_path / "mixed"
    png(folder / "a" / "same.png")
    png(folder / "b" / "same.png", box=None)
    whole = png(folder / "broken.png").read_bytes()
    (folder / "broken.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("not a radiograph")
    return folder


def test_all_predicted_is_status_0_and_nothing_is_written(
    pleura, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    image = png(tmp_path / "one.png")
    run = pleura("predict", image, "--model", model_folder)
    assert run.status == 0
    header, line, summary, footer = run.out.splitlines()
    assert header.split() == ["probability", "finding", "area", "ms", "input"]
    assert "pneumothorax" in line
    assert line.endswith("one.png")
    assert summary == "1 predicted (1 with pneumothorax), 0 refused, 0 failed."
    assert "Research software, not a medical device" in footer
    assert "tiny 0.0.1" in footer
    assert list(empty.iterdir()) == []


def test_a_mixed_folder_is_status_1_and_loses_nothing(
    pleura, model_folder: Path, mixed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run = pleura("predict", mixed, "-o", out, "--model", model_folder)
    assert run.status == 1
    assert "2 predicted (1 with pneumothorax), 2 refused (not_an_image 1, truncated 1)" in run.out

    records = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    by_input = {Path(r["input"]).relative_to(mixed).as_posix(): r for r in records}
    assert by_input["a/same.png"]["present"] is True
    assert by_input["b/same.png"]["present"] is False
    assert by_input["broken.png"]["error"]["code"] == "truncated"
    assert by_input["notes.txt"]["error"]["code"] == "not_an_image"
    with (out / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert sorted(row["error_code"] for row in rows) == ["", "", "not_an_image", "truncated"]
    assert len(list((out / "overlays").glob("*.png"))) == 2


def test_an_archive_is_read_in_place(pleura, model_folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        stream.write(png(tmp_path / "x.png"), "in/x.png")
        stream.write(png(tmp_path / "y.png", box=None), "in/y.png")
    run = pleura("predict", archive, "--jsonl", "--model", model_folder)
    assert run.status == 0
    records = [json.loads(line) for line in run.out.splitlines()]
    assert [record["present"] for record in records] == [True, False]
    assert all(record["input"].startswith(str(archive)) for record in records)
    assert records[0]["input"].endswith("in/x.png")


def test_jsonl_keeps_stdout_for_objects(pleura, model_folder: Path, mixed: Path) -> None:
    run = pleura("predict", mixed, "--jsonl", "--model", model_folder)
    records = [json.loads(line) for line in run.out.splitlines()]
    assert sorted(record["status"] for record in records) == ["ok", "ok", "refused", "refused"]
    assert "2 predicted" in run.err
    assert "not a medical device" in run.err


def test_only_the_formats_asked_for(pleura, model_folder: Path, tmp_path: Path) -> None:
    image, out = png(tmp_path / "one.png"), tmp_path / "out"
    run = pleura("predict", image, "-o", out, "--write", "csv", "--model", model_folder)
    assert run.status == 0
    assert [path.name for path in out.iterdir()] == ["predictions.csv"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--write", "json,jpg", "-o", "OUT"], "no format 'jpg'; there are: json, csv, png, seg"),
        (["--seg-negatives", "-o", "OUT"], "needs --write seg"),
        (["--seg-fractional", "--write", "sr", "-o", "OUT"], "needs --write seg"),
        (["--write", "csv"], "-o DIR"),
        (["--heatmap"], "-o DIR"),
        (["--write", "heatmap", "-o", "OUT"], "no format 'heatmap'"),
        (["--write", ",", "-o", "OUT"], "names no format"),
        (["--operating-point", "fast"], "Use one of: balanced, sensitive"),
        (["--model", "nowhere"], "named 'nowhere'"),
        (["--threads", "0"], "threads"),
        (["--colour"], "--colour"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_right(
    pleura, model_folder: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    image, out = png(tmp_path / "one.png"), tmp_path / "out"
    given = [str(out) if word == "OUT" else word for word in arguments]
    run = pleura("predict", image, "--model", model_folder, *given)
    assert run.status == 2
    assert said in " ".join(run.err.replace("│", " ").split())
    assert run.out == ""
    assert not out.exists()


def test_without_a_path_is_wrong_usage(pleura) -> None:
    assert pleura("predict").status == 2


def test_nothing_predicted_is_status_3(pleura, model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("text")
    bad = pleura("predict", tmp_path / "notes.txt", "--model", model_folder)
    missing = pleura("predict", tmp_path / "missing.dcm", "--model", model_folder)
    assert (bad.status, missing.status) == (3, 3)
    assert "not_an_image" in bad.out
    assert "not_found" in missing.out


def test_an_empty_folder_is_not_a_success(pleura, model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    assert pleura("predict", tmp_path / "nothing", "--model", model_folder).status == 3


def test_a_damaged_model_is_status_3(pleura, model_folder: Path, tmp_path: Path) -> None:
    with (model_folder / "segmenter.onnx").open("ab") as stream:
        stream.write(b"x")
    run = pleura("predict", png(tmp_path / "one.png"), "--model", model_folder)
    assert run.status == 3
    assert "SHA-256" in run.err
    assert "hint:" in run.err


def test_the_operating_point_decides(pleura, tmp_path: Path) -> None:
    model = write_model(tmp_path / "m")
    image = png(tmp_path / "faint.png", box=(60, 40, 80, 60))
    presence = []
    for point in ("balanced", "sensitive"):
        run = pleura(
            "predict",
            image,
            "--model",
            model,
            "--operating-point",
            point,
            "--jsonl",
            "--threads",
            1,
        )
        record = json.loads(run.out)
        assert record["operating_point"]["name"] == point
        presence.append(record["present"])
    assert presence == [False, True]


def test_an_output_that_cannot_be_made_is_wrong_usage(
    pleura, model_folder: Path, tmp_path: Path
) -> None:
    image = png(tmp_path / "one.png")
    run = pleura("predict", image, "-o", image / "out", "--model", model_folder)
    assert run.status == 2
    assert "cannot write" in run.err


def test_control_characters_of_a_name_do_not_reach_the_terminal(
    pleura, model_folder: Path, tmp_path: Path
) -> None:
    run = pleura("predict", png(tmp_path / "a\x1b[31m.png"), "--model", model_folder)
    assert "\x1b" not in run.out
    assert "a?[31m.png" in run.out


def test_results_are_not_taken_for_inputs(
    pleura, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    png(tmp_path / "films" / "one.png")
    monkeypatch.chdir(tmp_path / "films")
    for _ in range(2):
        run = pleura("predict", ".", "-o", "a-results", "--model", model_folder)
        assert run.status == 0
        assert "1 predicted" in run.out
    run = pleura("predict", "**/*.png", "-o", "a-results", "--model", model_folder)
    assert "1 predicted" in run.out


@pytest.mark.parametrize("named", ["out/overlays", "out/overlays/film.png", "out/predictions.csv"])
def test_an_input_that_results_would_be_written_over_is_wrong_usage(
    pleura, model_folder: Path, tmp_path: Path, named: str
) -> None:
    film = png(tmp_path / "out" / "overlays" / "film.png")
    before = film.read_bytes()
    run = pleura("predict", tmp_path / named, "-o", tmp_path / "out", "--model", model_folder)
    assert run.status == 2
    assert "lies where -o writes" in run.err
    assert film.read_bytes() == before


def test_an_empty_path_is_not_the_current_folder(pleura, model_folder: Path) -> None:
    run = pleura("predict", "", "--model", model_folder)
    assert run.status == 2
    assert "a path is empty" in run.err


def test_an_empty_operating_point_is_not_the_default(
    pleura, model_folder: Path, tmp_path: Path
) -> None:
    image = png(tmp_path / "one.png")
    run = pleura("predict", image, "--operating-point", "", "--model", model_folder)
    assert run.status == 2


def test_long_names_in_any_script_get_their_picture(
    pleura, model_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "films"
    for name in ("胸" * 80, "z"):
        png(folder / f"{name}.png")
    run = pleura("predict", folder, "-o", tmp_path / "out", "--model", model_folder)
    assert run.status == 0
    assert len(list((tmp_path / "out" / "overlays").glob("*.png"))) == 2


def test_heat_maps_are_written_below_the_operating_point_too(
    pleura, model_folder: Path, tmp_path: Path
) -> None:
    films, out = tmp_path / "films", tmp_path / "out"
    png(films / "a" / "same.png")
    png(films / "b" / "same.png", box=(60, 40, 80, 60))  # air, but too little for the finding
    (films / "notes.txt").write_text("not a radiograph")
    run = pleura("predict", films, "-o", out, "--heatmap", "--model", model_folder)
    assert run.status == 1
    assert "2 predicted (1 with pneumothorax)" in run.out
    maps = sorted((out / "heatmaps").iterdir())
    assert [path.name for path in maps] == sorted(p.name for p in (out / "overlays").iterdir())
    assert len(maps) == 2
    for path in maps:
        picture = cv2.imread(str(path))
        assert picture.shape == (300, 240, 3)
        assert np.ptp(picture[70, 50].astype(int)) > 50  # in colour where the air is
    assert (out / "predictions.jsonl").exists()

    again = pleura("predict", out, "-o", out, "--heatmap", "--model", model_folder)
    assert again.status == 3  # heat maps are results, not inputs


def test_heat_maps_come_beside_the_formats_asked_for_and_not_by_themselves(
    pleura, model_folder: Path, tmp_path: Path
) -> None:
    image, out = png(tmp_path / "one.png"), tmp_path / "out"
    call = ("predict", image, "-o", out, "--write", "csv", "--model", model_folder)
    assert pleura(*call).status == 0
    assert not (out / "heatmaps").exists()
    assert pleura(*call, "--heatmap").status == 0
    assert sorted(path.name for path in out.iterdir()) == ["heatmaps", "predictions.csv"]


def test_a_heat_map_that_cannot_be_written_is_status_4(
    pleura, model_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "out" / "heatmaps").mkdir(parents=True)
    (tmp_path / "out" / "heatmaps" / "one.png.part").symlink_to("/dev/full")
    image = png(tmp_path / "one.png")
    run = pleura("predict", image, "-o", tmp_path / "out", "--heatmap", "--model", model_folder)
    assert run.status == 4
    assert "[output_error]" in run.err
    assert not (tmp_path / "out" / "heatmaps" / "one.png").exists()


def test_a_full_disk_ends_the_run_with_a_sentence(
    pleura, model_folder: Path, tmp_path: Path
) -> None:
    image = png(tmp_path / "one.png")
    out = tmp_path / "out"
    out.mkdir()
    (out / "predictions.jsonl").symlink_to("/dev/full")
    run = pleura("predict", image, "-o", out, "--model", model_folder)
    assert run.status == 4
    assert "could not be written" in run.err
    assert "[output_error]" in run.err


def test_a_refused_output_leaves_earlier_tables_alone(
    pleura, model_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "predictions.csv").write_text("earlier")
    (out / "overlays").write_text("a file where a folder must be")
    image = png(tmp_path / "one.png")
    assert pleura("predict", image, "-o", out, "--model", model_folder).status == 2
    assert (out / "predictions.csv").read_text() == "earlier"


def in_a_shell(command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The program as a process of its own, in a pipe of the shell."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
    )


PROGRAM = f"{shlex.quote(sys.executable)} -c 'from pleura.cli.main import main; main()'"


def test_when_the_reader_leaves_the_results_are_still_written(
    model_folder: Path, tmp_path: Path
) -> None:
    for number in range(12):
        png(tmp_path / "films" / f"{number}.png")
    call = f"{PROGRAM} predict {tmp_path}/films --model {model_folder}"
    done = in_a_shell(f"{call} -o {tmp_path}/out | head -1")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "out" / "predictions.jsonl").read_text().splitlines()) == 12
    done = in_a_shell(f"{call} | head -1")
    assert done.returncode == 141
    assert b"Traceback" not in done.stderr


def test_no_name_is_too_foreign_for_the_terminal(model_folder: Path, tmp_path: Path) -> None:
    png(tmp_path / "films" / "mé.png")
    png(tmp_path / "films" / "z.png")
    call = f"{PROGRAM} predict {tmp_path}/films --model {model_folder}"
    done = in_a_shell(call, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert rb"m\xe9.png" in done.stdout
    done = in_a_shell(f"{call} --jsonl", PYTHONIOENCODING="ascii")
    assert [Path(json.loads(line)["input"]).name for line in done.stdout.splitlines()] == [
        "mé.png",
        "z.png",
    ]
    assert in_a_shell(f"{call} >&-").returncode == 0


def test_what_is_shown_does_not_contradict_the_decision(
    pleura, model_folder: Path, tmp_path: Path
) -> None:
    probability = Predictor.load(model_folder).predict(png(tmp_path / "one.png")).probability
    manifest = Manifest.read(model_folder)
    point = manifest.operating_points[0].model_copy(update={"threshold": probability + 2e-5})
    manifest.model_copy(
        update={"operating_points": (point,), "default_operating_point": point.name}
    ).write(model_folder)
    run = pleura("predict", tmp_path / "one.png", "--model", model_folder)
    line, footer = run.out.splitlines()[1], run.out.splitlines()[-1]
    threshold = float(footer.partition(">= ")[2].partition(")")[0])
    assert "none" in line
    assert float(line.split()[0]) < threshold


def test_a_submission_has_the_samples_rows_and_says_what_is_missing(
    pleura, model_folder: Path, tmp_path: Path
) -> None:
    images, out = tmp_path / "stage_2_images", tmp_path / "out"
    png(images / "ID_a.png")
    png(images / "ID_b.png", box=None)
    sample = tmp_path / "stage_2_sample_submission.csv"
    sample.write_text("ImageId,EncodedPixels\nID_b,-1\nID_a,-1\n")
    arguments = ("--model", model_folder, "-o", out, "--write", "submission", "--sample", sample)
    done = pleura("predict", images, *arguments)
    assert done.status == 0
    assert [path.name for path in out.iterdir()] == ["submission.csv"]
    header, first, second = (out / "submission.csv").read_text().splitlines()
    assert (header, first) == ("ImageId,EncodedPixels", "ID_b,-1")
    assert second.startswith("ID_a,")
    assert len(second.split()) > 2

    sample.write_text("ImageId,EncodedPixels\nID_b,-1\nID_x,-1\n")
    done = pleura("predict", images, *arguments)
    assert done.status == 1
    assert "1 rows of the sample have no prediction" in done.out
    assert "1 predictions are of images that the sample does not list" in done.out
    assert (out / "submission.csv").read_text() == "ImageId,EncodedPixels\nID_b,-1\nID_x,-1\n"


def test_a_sample_needs_a_submission_and_has_to_be_one(
    pleura, model_folder: Path, tmp_path: Path
) -> None:
    image, sample = png(tmp_path / "a.png"), tmp_path / "sample.csv"
    model = ("--model", model_folder)
    lonely = pleura("predict", image, *model, "-o", tmp_path / "out", "--sample", sample)
    assert lonely.status == 2
    assert "--write submission" in lonely.err
    written = ("-o", tmp_path / "out", "--write", "submission", "--sample", sample)
    absent = pleura("predict", image, *model, *written)
    assert absent.status == 2
    assert "cannot be opened" in absent.err
    assert not (tmp_path / "out").exists()
