"""One run from INPUT to OUTPUT: settings, listing, engine, report."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pleura import __version__
from pleura.errors import PleuraError
from pleura.inference import (
    Engine,
    Manifest,
    ModelReference,
    engine_of,
    find_model,
    installed_models,
)
from pleura.inference.manifest import MANIFEST_NAME, sha256_of
from pleura.inference.threads import usable_cores
from pleura.quality import GateSettings
from pleura.scale.ahead import in_order
from pleura.scale.judge import Recipe, tally_in
from pleura.scale.ledger import REPORT, Chunk, Ledger, hold_settings
from pleura.scale.listing import Listing, listing_of
from pleura.scale.local import judge_here
from pleura.scale.objects import is_url, path_of
from pleura.scale.stores import Store, open_store
from pleura.scale.tally import Tally

CHUNK = 256
FOOTERS_AT_ONCE = 8


class BatchEngine(StrEnum):
    """Where the work is done."""

    LOCAL = "local"
    RAY = "ray"


@dataclass(frozen=True, slots=True)
class Batch:
    """What a user asks for.

    Attributes:
        source: folder, glob, archive, image, list of paths, or URL; see `listing_of`.
        output: folder or URL.
        engine: where the work is done.
        model: name or folder; None for the default.
        operating_point: name; None for the model's default.
        gate: how the input gate behaves.
        formats: further objects, out of `pleura.outputs`.
        chunk: inputs that are judged, written and counted together.
        workers: processes or actors; None for one for each `threads` cores.
        threads: of one network run.
        networks: the engine that runs them; None for the model's own.
        address: of a Ray cluster.
    """

    source: str
    output: str
    engine: BatchEngine = BatchEngine.LOCAL
    model: str | None = None
    operating_point: str | None = None
    gate: GateSettings = field(default_factory=GateSettings)
    formats: tuple[str, ...] = ()
    chunk: int = CHUNK
    workers: int | None = None
    threads: int = 1
    networks: Engine | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended, over all its continuations.

    Attributes:
        tally: counts of every row that was written.
        chunks: parts.
        gone: inputs that have a row or had a place, and that the listing no longer holds.
        judged: inputs that this command judged; the rest had been before.
        duration_s: of this command, from its start to its last part.
        engine: that this command used.
        model: that judged.
        operating_point: that decided.
    """

    tally: Tally
    chunks: int
    gone: int
    judged: int
    duration_s: float
    engine: BatchEngine
    model: ModelReference
    operating_point: str

    @property
    def images_per_s(self) -> float:
        """Inputs that this command judged, by its duration."""
        return self.judged / self.duration_s if self.duration_s > 0 else 0.0

    def to_json(self) -> dict[str, Any]:
        """As in `report.json`."""
        return {
            "schema": "pleura.batch-report/1",
            "inputs": self.tally.inputs,
            "predicted": self.tally.predicted,
            **self.tally.to_dict(),
            "gone": self.gone,
            "parts": self.chunks,
            "model": asdict(self.model),
            "operating_point": self.operating_point,
            "last_command": {
                "engine": self.engine.value,
                "judged": self.judged,
                "duration_s": round(self.duration_s, 2),
                "images_per_s": round(self.images_per_s, 3),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        }


class Watch:
    """Told of a run's progress; from several threads. Does nothing by itself."""

    def begun(self, ledger: Ledger) -> None:
        """The output was opened; `ledger.listed` then grows."""

    def seen(self) -> None:
        """One input was judged (local engine)."""

    def counted(self, tally: Tally) -> None:
        """A chunk's part is written."""


def run_batch(batch: Batch, watch: Watch | None = None) -> Report:
    """Judge every input that has no row yet, and report on all rows.

    Args:
        batch: what is asked for.
        watch: told of the progress.

    Raises:
        NotFoundError: there is no such input.
        ModelError: there is no such model or operating point, or its files are damaged.
        BatchChangedError: the output holds a run with other settings, or of another list.
        StoreError: an object store or the cluster does not answer.
        OutputError: the output cannot be read or written.
        MissingDependencyError: a package of the extra `scale` is not installed.
    """
    started = time.perf_counter()
    watch = watch or Watch()
    output = batch.output if is_url(batch.output) else path_of(batch.output)
    folder, manifest = _model(batch.model)
    point = manifest.operating_point(batch.operating_point).name
    model = ModelReference(
        manifest.name,
        manifest.version,
        sha256_of(folder / MANIFEST_NAME),
        engine_of(manifest.classifier.file, batch.networks),
    )
    listing = listing_of(batch.source, output)
    store = open_store(output)
    with store.alone():
        hold_settings(store, _settings(batch, listing, model, point))
        recipe = Recipe(
            output=output,
            model=_named(folder),
            model_sha256=model.sha256,
            operating_point=point,
            gate=batch.gate,
            threads=batch.threads,
            networks=batch.networks,
            formats=batch.formats,
        )
        ledger = Ledger(store)
        watch.begun(ledger)
        total = Tally()
        for tally in _judged(batch, recipe, ledger.to_do(listing, batch.chunk), watch.seen):
            total.add(tally)
            watch.counted(tally)
        duration, judged = time.perf_counter() - started, total.inputs
        for tally in _earlier(store, ledger.done):
            total.add(tally)
        report = Report(
            total, len(ledger.chunks), ledger.gone, judged, duration, batch.engine, model, point
        )
        store.write(REPORT, (json.dumps(report.to_json(), indent=2) + "\n").encode())
        return report


def _judged(
    batch: Batch, recipe: Recipe, chunks: Iterator[Chunk], seen: Callable[[], None]
) -> Iterator[Tally]:
    if batch.engine is BatchEngine.LOCAL:
        workers = batch.workers or max(1, usable_cores() // batch.threads)
        return judge_here(recipe, chunks, workers, seen)
    from pleura.scale.cluster import judge_on_cluster  # needs Ray

    return judge_on_cluster(recipe, chunks, batch.workers, batch.address)


def _model(name: str | None) -> tuple[Path, Manifest]:
    folder = find_model(name)
    return folder, Manifest.read(folder)


def _named(folder: Path) -> str:
    """How a worker finds the model: an installed one by its name, on whatever machine."""
    for model in installed_models():
        if model.folder == folder:
            return model.name
    return str(folder.resolve())


def _settings(
    batch: Batch, listing: Listing, model: ModelReference, point: str
) -> dict[str, object]:
    """What a continuation must have in common with the run, as JSON has it."""
    return {
        "schema": "pleura.batch/1",
        "pleura": __version__,
        "input": listing.source,
        "chunk": batch.chunk,
        "model": asdict(model),
        "operating_point": point,
        "gate": batch.gate.strictness.value,
        "correct": batch.gate.correct,
        "formats": sorted(batch.formats),
    }


def _earlier(store: Store, chunks: list[Chunk]) -> Iterator[Tally]:
    """Counts of the parts that were there before, from their footers."""

    def read(chunk: Chunk) -> Tally:
        tally = tally_in(store, chunk)
        if tally is None:
            raise PleuraError("A part vanished while the run went on.", "Run the command again.")
        return tally

    return in_order(read, chunks, FOOTERS_AT_ONCE)
