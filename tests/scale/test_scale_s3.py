"""Inputs and results in an object store that speaks S3, over real HTTP."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from scale_s3 import S3Server
from scale_tools import fill, image, parts, rows_of, run, running, until

from pleura.errors import NotFoundError, StoreError
from pleura.scale.objects import ObjectStore, attempt

BUCKET = "radiographs"
CHUNK = ("--chunk", "8", "--workers", "1")


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    started = S3Server()
    yield started
    started.kill()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("local"), 60)


@pytest.fixture(scope="module")
def bucket(server: S3Server, local: Path) -> Any:
    """A client of a bucket that holds the local inputs below `in/`."""
    client = server.client()
    client.create_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key="in/", Body=b"")  # what browsers of buckets make
    for path in local.rglob("*"):
        if path.is_file():
            key = f"in/{path.relative_to(local)}"
            client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
    return client


@pytest.fixture(scope="module")
def expected(
    local: Path, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, object]]:
    output = tmp_path_factory.mktemp("expected") / "out"
    run(local, output, "--model", model, *CHUNK, status=1)
    return [row | {"input": _relative(row["input"])} for row in rows_of(output)]


def _relative(name: str) -> str:
    return "/".join(name.split("/")[-2:]) if "study" in name else name.split("/")[-1]


def _keys(client: Any, prefix: str) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", ())]


def _rows(client: Any, prefix: str) -> list[dict[str, object]]:
    rows = []
    for key in sorted(_keys(client, f"{prefix}/parts/")):
        body = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        rows += pq.read_table(io.BytesIO(body)).to_pylist()
    return [
        {name: value for name, value in row.items() if not name.endswith("_ms")}
        | {"input": _relative(row["input"])}
        for row in rows
    ]


def test_a_killed_run_from_bucket_to_bucket_continues(
    server: S3Server, bucket: Any, model: Path, expected: list[dict[str, object]]
) -> None:
    arguments = [f"s3://{BUCKET}/in", f"s3://{BUCKET}/out", "--model", model, *CHUNK]
    for wanted in (0, 3):
        with running(*arguments, **server.environment) as process:
            until(lambda: _keys(bucket, "out/batch.json"), 60, "the run begins")
            until(lambda least=wanted: len(_keys(bucket, "out/parts/")) >= least)
            process.kill()
            process.wait(20)
        assert len(_keys(bucket, "out/parts/")) < 8, "killed in the middle"
    kept = bucket.head_object(Bucket=BUCKET, Key="out/parts/part-00000000.parquet")
    run(*arguments, status=1, **server.environment)
    assert _rows(bucket, "out") == expected
    again = bucket.head_object(Bucket=BUCKET, Key="out/parts/part-00000000.parquet")
    assert again["LastModified"] == kept["LastModified"]
    report = json.loads(bucket.get_object(Bucket=BUCKET, Key="out/report.json")["Body"].read())
    assert report["inputs"] == len(expected) == 63
    assert report["refused"]["not_an_image"] == 2


def test_a_list_mixes_places_and_bad_objects_are_rows(
    server: S3Server, bucket: Any, model: Path, tmp_path: Path
) -> None:
    bucket.put_object(Bucket=BUCKET, Key="odd/a #1?.dcm", Body=image(2))
    (tmp_path / "here.dcm").write_bytes(image(4))
    names = [
        f"s3://{BUCKET}/odd/a #1?.dcm",
        f"s3://{BUCKET}/odd/absent.dcm",
        "s3://no-such-bucket/a.dcm",
        f"s3://{BUCKET}/in/study-000/empty.dcm",
        f"s3://{BUCKET}/odd/archive.zip",
        str(tmp_path / "here.dcm"),
    ]
    (tmp_path / "list.txt").write_text("\n".join(names))
    arguments = [tmp_path / "list.txt", tmp_path / "out", "--model", model, "--write", "png"]
    run(*arguments, status=1, **server.environment)
    rows = rows_of(tmp_path / "out")
    assert [row["input"] for row in rows] == names
    assert [row["error_code"] or row["status"] for row in rows] == [
        "ok",
        "not_found",
        "not_found",
        "not_an_image",
        "unsupported_syntax",
        "ok",
    ]


def test_a_glob_and_objects_in_a_bucket(server: S3Server, bucket: Any, model: Path) -> None:
    arguments = [f"s3://{BUCKET}/in/study-*/image-*1.dcm", f"s3://{BUCKET}/glob"]
    run(*arguments, "--model", model, "--write", "json,sr", **server.environment)
    assert len(_rows(bucket, "glob")) == 6
    kinds = {key.split("/")[3] for key in _keys(bucket, "glob/objects/")}
    assert kinds == {"predictions.jsonl", "sr"}


def test_a_store_that_does_not_answer(bucket: Any, model: Path, tmp_path: Path) -> None:
    """Some objects are rows; when it is all of them, the run stops and goes on another day."""
    other = S3Server()
    other.kill()
    few, many = tmp_path / "few.txt", tmp_path / "many.txt"
    (tmp_path / "here.dcm").write_bytes(image(0))
    names = [f"s3://{BUCKET}/{number}.dcm" for number in range(16)]
    few.write_text("\n".join([*names[:3], str(tmp_path / "here.dcm")]))
    many.write_text("\n".join(names))
    run(few, tmp_path / "few", "--model", model, status=1, **other.environment)
    rows = rows_of(tmp_path / "few")
    assert [row["error_code"] for row in rows] == ["store_error"] * 3 + [None]
    assert [row["status"] for row in rows] == ["failed"] * 3 + ["ok"]
    said = run(many, tmp_path / "many", "--model", model, status=2, **other.environment)
    assert "None of 16 objects" in said
    assert not parts(tmp_path / "many")
    other.start()
    client = other.client()
    client.create_bucket(Bucket=BUCKET)
    for number, name in enumerate(names):
        client.put_object(Bucket=BUCKET, Key=name.rpartition("/")[2], Body=image(number))
    run(many, tmp_path / "many", "--model", model, **other.environment)
    assert [row["input"] for row in rows_of(tmp_path / "many")] == names
    other.kill()


def test_an_output_or_a_listing_that_does_not_answer(
    local: Path, model: Path, tmp_path: Path
) -> None:
    other = S3Server()
    other.kill()
    said = run(f"s3://{BUCKET}/in", tmp_path / "b", "--model", model, status=2, **other.environment)
    assert "store_error" in said
    arguments = [local, f"s3://{BUCKET}/out", "--model", model]
    assert "output_error" in run(*arguments, status=4, **other.environment)


def test_a_bucket_is_listed_by_pages(
    server: S3Server, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    names = sorted(f"many/{number % 7}-{number:05d}" for number in range(25))
    for name in names:
        bucket.put_object(Bucket=BUCKET, Key=name, Body=b"")
    store = ObjectStore(f"s3://{BUCKET}/many")
    asked: list[str] = []
    original = store.fs.call_s3

    def counted(method: str, **named: Any) -> Any:
        asked.append(named.get("StartAfter", ""))
        return original(method, **named, MaxKeys=10)  # the server's default is 1000

    monkeypatch.setattr(store.fs, "call_s3", counted)
    found = store.below(store.root)
    assert next(found) == f"{BUCKET}/{names[0]}"
    assert asked == [""], "a page at a time"
    assert [f"{BUCKET}/{name}" for name in names[1:]] == list(found)
    assert asked == ["", names[9], names[19]]


def test_tries_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pleura.scale.objects.FIRST_PAUSE_S", 0.0)
    done: list[int] = []

    def fails(times: int, error: Exception) -> str:
        done.append(1)
        if len(done) <= times:
            raise error
        return "done"

    assert attempt(lambda: fails(2, OSError("secret text"))) == "done"
    done.clear()
    with pytest.raises(StoreError) as caught:
        attempt(lambda: fails(9, OSError("secret text")))
    assert len(done) == 3
    assert "secret" not in str(caught.value)
    done.clear()
    with pytest.raises(NotFoundError):
        attempt(lambda: fails(9, FileNotFoundError()))
    assert len(done) == 1


def test_other_file_systems_behind_urls(tmp_path: Path, model: Path) -> None:
    folder = fill(tmp_path / "in", 5)
    run(f"local://{folder}", f"local://{tmp_path / 'out'}", "--model", model, status=1)
    names = [row["input"].removeprefix("local://") for row in rows_of(tmp_path / "out")]
    assert names == sorted(str(path) for path in folder.rglob("*") if path.is_file())
