"""The local engine: one row an input, whatever the input, and whoever is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from scale_tools import alive, children_of, fill, image, linux, parts, rows_of, run, running, until

from pleura import Predictor
from pleura.errors import BatchChangedError, ModelError, OutputError
from pleura.outputs import json_line
from pleura.quality import GateSettings
from pleura.scale.judge import Judge, Recipe
from pleura.scale.rows import row_of
from pleura.scale.run import Batch, run_batch

CHUNKED = ("--chunk", "8", "--workers", "1")
POISON = """
import os, pathlib, signal
opened = pathlib.Path.open
def poisoned(path, *arguments, **named):
    if path.name == "deadly.dcm":
        os.kill(os.getpid(), signal.SIGSEGV)
    return opened(path, *arguments, **named)
pathlib.Path.open = poisoned
"""


def _batch(inputs: Path, output: Path, model: Path, **changed: object) -> Batch:
    return Batch(str(inputs), str(output), model=str(model), **changed)  # type: ignore[arg-type]


def test_a_row_says_what_the_prediction_says(reference: Path, model: Path) -> None:
    rows = rows_of(reference)
    predictor = Predictor.load(model, threads=1)
    for row in (rows[0], rows[1], rows[-1]):
        (result,) = predictor.predict_many([row["input"]])
        again = row_of(result)
        again = {name: value for name, value in again.items() if not name.endswith("_ms")}
        assert again == {name: row[name] for name in again}
        said = json.loads(json_line(result))
        assert (said["status"], said["input"]) == (row["status"], row["input"])
        if row["status"] == "ok":
            assert said["probability"] == row["probability"]
            assert said["mask"]["rle"] == row["rle"]
            assert said["regions"] == json.loads(row["regions"])
            assert said["model"]["sha256"] == row["model_sha256"]
        else:
            assert said["error"]["code"] == row["error_code"]
            assert row["probability"] is None


def test_every_input_has_one_row_and_bad_files_are_rows(reference: Path, inputs: Path) -> None:
    rows = rows_of(reference)
    files = sorted(str(path) for path in inputs.rglob("*") if path.is_file())
    assert sorted(row["input"] for row in rows) == files
    codes = {Path(row["input"]).name: row["error_code"] for row in rows if row["error_code"]}
    assert set(codes) == {"notes.txt", "empty.dcm", "short.dcm"}
    assert codes["notes.txt"] == codes["empty.dcm"] == "not_an_image"
    report = json.loads((reference / "report.json").read_text())
    assert report["inputs"] == len(rows) == 153
    assert report["predicted"] == sum(row["status"] == "ok" for row in rows) == 150
    assert report["present"] == sum(bool(row["present"]) for row in rows)
    assert sum(report["refused"].values()) == 3


@linux
def test_a_run_that_is_killed_again_and_again(
    inputs: Path, reference: Path, model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    arguments = (inputs, output, "--model", model, *CHUNKED)
    before: dict[Path, int] = {}
    for more in (0, 1, 4, 3):
        with running(*arguments) as process:
            until(lambda: (output / "batch.json").exists())
            wanted = len(before) + more
            until(lambda least=wanted: len(parts(output)) >= least)
            workers = children_of(process.pid)
            process.kill()
            process.wait(20)
        until(lambda of=workers: not any(map(alive, of)), 20, "workers end with the run")
        assert {path: path.stat().st_mtime_ns for path in before} == before, "nothing is repeated"
        before = {path: path.stat().st_mtime_ns for path in parts(output)}
        assert len(before) < len(parts(reference)), "killed in the middle"
    run(*arguments, status=1)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "nothing is repeated"
    assert rows_of(output) == rows_of(reference)
    one, other = (json.loads((out / "report.json").read_text()) for out in (output, reference))
    assert one | {"last_command": None} == other | {"last_command": None}
    assert one["last_command"]["judged"] == 153 - 8 * len(before)
    assert not list(output.rglob("*.partial"))


@linux
def test_a_killed_worker_is_replaced(
    inputs: Path, reference: Path, model: Path, tmp_path: Path
) -> None:
    with running(inputs, tmp_path / "out", "--model", model, *CHUNKED) as process:
        for count in (1, 4):
            until(lambda count=count: len(parts(tmp_path / "out")) >= count)
            until(lambda: children_of(process.pid))
            for pid in children_of(process.pid):
                os.kill(pid, signal.SIGKILL)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert rows_of(tmp_path / "out") == rows_of(reference)


def test_an_input_that_ends_the_process_is_a_row(model: Path, tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 6)
    (folder / "deadly.dcm").write_bytes(image(3))
    (tmp_path / "sitecustomize.py").write_text(POISON)
    run(folder, tmp_path / "out", "--model", model, status=1, PYTHONPATH=str(tmp_path))
    rows = {Path(row["input"]).name: row for row in rows_of(tmp_path / "out")}
    assert len(rows) == 10
    assert (rows["deadly.dcm"]["status"], rows["deadly.dcm"]["error_code"]) == (
        "failed",
        "worker_died",
    )
    assert sum(row["status"] == "ok" for row in rows.values()) == 6


@linux
def test_a_worker_that_says_nothing_is_replaced(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pleura.scale.worker.SILENCE_S", 5.0)
    folder = fill(tmp_path / "in", 3)

    def workers() -> list[int]:
        """Not the other children of this process: a browser of another test, say."""
        found = []
        for pid in children_of(os.getpid()):
            with suppress(OSError):  # it may end between the two looks
                if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return found

    def stop_the_worker() -> None:
        until(workers)
        for pid in workers():
            os.kill(pid, signal.SIGSTOP)

    stopping = threading.Thread(target=stop_the_worker)
    stopping.start()
    report = run_batch(_batch(folder, tmp_path / "out", model, workers=1))
    stopping.join()
    assert (report.tally.predicted, report.tally.inputs) == (3, 6)


def test_two_workers_say_the_same(
    inputs: Path, reference: Path, model: Path, tmp_path: Path
) -> None:
    run(inputs, tmp_path / "out", "--model", model, "--chunk", "8", "--workers", "2", status=1)
    assert rows_of(tmp_path / "out") == rows_of(reference)


def test_ray_is_not_needed(inputs: Path, reference: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nfor name in ('ray', 'fsspec', 's3fs'):\n    sys.modules[name] = None\n"
    )
    run(inputs, tmp_path / "out", "--model", model, *CHUNKED, status=1, PYTHONPATH=str(tmp_path))
    assert rows_of(tmp_path / "out") == rows_of(reference)


def test_new_inputs_get_chunks_of_their_own(model: Path, tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 20)
    batch = _batch(folder, tmp_path / "out", model, chunk=5, workers=1)
    first = run_batch(batch)
    before = {path: path.read_bytes() for path in parts(tmp_path / "out")}
    (folder / "a-new-one.dcm").write_bytes(image(99))
    (folder / "study-000" / "image-00003.dcm").unlink()
    second = run_batch(batch)
    assert (first.judged, second.judged, second.gone) == (23, 1, 1)
    assert {path: path.read_bytes() for path in before} == before
    assert rows_of(tmp_path / "out")[-1]["input"] == str(folder / "a-new-one.dcm")
    third = run_batch(batch)
    assert (third.judged, third.tally) == (0, second.tally)


def test_inputs_that_vanish_after_the_listing_are_rows(model: Path, tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 10)
    batch = _batch(folder, tmp_path / "out", model, chunk=100, workers=1)
    run_batch(batch)
    (tmp_path / "out" / "parts" / "part-00000000.parquet").unlink()
    (folder / "study-000" / "image-00003.dcm").unlink()
    report = run_batch(batch)
    assert (report.tally.inputs, report.tally.refused["not_found"]) == (13, 1)


@pytest.mark.parametrize(
    "changed", [{"chunk": 6}, {"operating_point": "sensitive"}, {"formats": ("json",)}]
)
def test_other_settings_are_refused(
    changed: dict[str, object], model: Path, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "in", 3)
    run_batch(_batch(folder, tmp_path / "out", model, workers=1))
    with pytest.raises(BatchChangedError, match=next(iter(changed))):
        run_batch(_batch(folder, tmp_path / "out", model, workers=1, **changed))


def test_another_model_is_refused(model: Path, tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 3)
    run_batch(_batch(folder, tmp_path / "out", model, workers=1))
    other = tmp_path / "other"
    other.mkdir()
    for path in model.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    manifest = other / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"0.0.1"', '"0.0.2"'))
    with pytest.raises(BatchChangedError, match="model"):
        run_batch(_batch(folder, tmp_path / "out", other, workers=1))


def test_a_machine_with_another_model_judges_nothing(model: Path, tmp_path: Path) -> None:
    recipe = Recipe(str(tmp_path), str(model), "0" * 64, "balanced", GateSettings(), threads=1)
    with pytest.raises(ModelError, match="not the one"):
        Judge(recipe)


def test_two_runs_do_not_share_an_output(inputs: Path, model: Path, tmp_path: Path) -> None:
    with running(inputs, tmp_path / "out", "--model", model, *CHUNKED):
        until(lambda: (tmp_path / "out" / "batch.json").exists())
        with pytest.raises(OutputError, match="Another run"):
            run_batch(_batch(inputs, tmp_path / "out", model))


def test_objects_are_those_of_predict(model: Path, tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 4)
    output = tmp_path / "out"
    report = run_batch(
        _batch(folder, output, model, workers=1, formats=("json", "png", "seg", "sr", "sc"))
    )
    assert not report.tally.unwritten
    objects = output / "objects" / "00000000"
    lines = (objects / "predictions.jsonl").read_text().splitlines()
    rows = rows_of(output)
    assert [json.loads(line)["input"] for line in lines] == [row["input"] for row in rows]
    for row in rows:
        if row["status"] == "ok":
            assert (objects / "overlays" / f"{row['object_name']}.png").is_file()
            assert (objects / "sr" / f"{row['object_name']}.dcm").is_file()
            segmented = (objects / "seg" / f"{row['object_name']}.dcm").is_file()
            assert segmented == row["present"]
        else:
            assert row["object_name"] is None


def test_an_output_inside_the_input_is_no_input(model: Path, tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 3)
    for _ in range(2):
        report = run_batch(_batch(folder, folder / "out", model, workers=1))
        assert report.tally.inputs == 6


def test_an_output_that_cannot_be_written(model: Path, tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", 3)
    (tmp_path / "out").write_text("a file, no folder")
    with pytest.raises(OutputError):
        run_batch(_batch(folder, tmp_path / "out", model, workers=1))


def test_listing_reads_no_image(inputs: Path, model: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pleura.scale.run import Batch, run_batch;"
        f"run_batch(Batch({str(inputs)!r}, {str(tmp_path / 'out')!r}, model={str(model)!r}));"
        "assert 'pydicom' not in sys.modules, 'read in the listing'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
