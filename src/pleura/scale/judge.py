"""Judging one chunk: read, predict, write its objects and then its part."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pleura.errors import ModelError, OutputError
from pleura.inference import Engine, Prediction, Predictor, Result, find_model
from pleura.outputs import OutputFolder
from pleura.outputs.names import FileNamer, input_name
from pleura.quality import GateSettings
from pleura.scale.ledger import Chunk, entries_of
from pleura.scale.rows import TAIL_BYTES, part_of, row_of, tally_of
from pleura.scale.sources import Sources
from pleura.scale.stores import Store, open_store
from pleura.scale.tally import Tally


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a worker needs to know, wherever it runs.

    Attributes:
        output: absolute path or URL of the run.
        model: name of an installed model, or absolute path of a model folder.
        model_sha256: of the manifest that the run began with.
        operating_point: name of the point that decides.
        gate: how the input gate behaves.
        threads: of one network run.
        networks: the engine that runs them; None for the model's own.
        formats: of further objects, out of `pleura.outputs`; none by default.
    """

    output: str
    model: str
    model_sha256: str
    operating_point: str
    gate: GateSettings
    threads: int
    networks: Engine | None = None
    formats: tuple[str, ...] = ()


class Judge:
    """A predictor with a run's output.

    Raises:
        ModelError: there is no such model here, or it is not the run's.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._predictor = Predictor(
            find_model(recipe.model),
            threads=recipe.threads,
            operating_point=recipe.operating_point,
            gate=recipe.gate,
            engine=recipe.networks,
        )
        if self._predictor.model.sha256 != recipe.model_sha256:
            raise ModelError(
                "The model on this machine is not the one that the run began with.",
                "Install the same model on every machine.",
            )
        self._formats = recipe.formats
        self._store = open_store(recipe.output)
        self._sources = Sources()

    def judge(
        self,
        chunk: Chunk,
        deadly: frozenset[int] = frozenset(),
        seen: Callable[[], None] = lambda: None,
    ) -> Tally:
        """Judge a chunk, unless its part is there already.

        Args:
            chunk: one whose inputs are written down.
            deadly: places of inputs that are not to be read.
            seen: called after each input.

        Returns:
            The counts of its part.

        Raises:
            OutputError: the output cannot be read or written.
            StoreError: the inputs' store answers for none of them.
        """
        if (tally := tally_in(self._store, chunk)) is not None:
            return tally
        if not self._formats:
            return self._write(chunk, deadly, seen, None)
        with TemporaryDirectory(prefix="pleura-objects-") as made:
            folder = Path(made)
            with OutputFolder(folder, self._formats) as objects:
                return self._write(chunk, deadly, seen, objects, folder)

    def probe(self, chunk: Chunk, place: int) -> None:
        """Judge one input of a chunk, and forget it: to learn whether the process survives."""
        entry = entries_of(self._store, chunk)[place]
        for _ in self._predictor.predict_many(self._sources.of((entry,))):
            pass

    def _write(
        self,
        chunk: Chunk,
        deadly: frozenset[int],
        seen: Callable[[], None],
        objects: OutputFolder | None,
        folder: Path | None = None,
    ) -> Tally:
        rows, tally, namer = [], Tally(), FileNamer()
        entries = entries_of(self._store, chunk)
        results = self._predictor.predict_many(self._sources.of(entries, deadly))
        for _, result in zip(entries, results, strict=True):
            tally.count(result)
            named = None
            if objects is not None:
                _write_objects(objects, result)
                named = _object_name(namer, result)
            rows.append(row_of(result, named))
            seen()
        self._sources.check(len(entries))
        if objects is not None and folder is not None:
            objects.close()
            tally.unwritten.update(objects.unwritten.codes)
            _put(self._store, chunk, folder)
        self._store.write(chunk.part, part_of(rows, tally))
        return tally


def tally_in(store: Store, chunk: Chunk) -> Tally | None:
    """The counts of a chunk's part, or None where there is no part."""
    tail = store.tail(chunk.part, TAIL_BYTES)
    return None if tail is None else tally_of(tail)


def _object_name(namer: FileNamer, result: Result) -> str | None:
    """The name that the writers of `outputs` give to the files of a result."""
    return namer.name(input_name(result)) if isinstance(result, Prediction) else None


def _write_objects(objects: OutputFolder, result: Result) -> None:
    try:
        objects.write(result)
    except OSError as error:
        raise OutputError(f"Objects cannot be made: {error.strerror or 'no picture'}.") from error


def _put(store: Store, chunk: Chunk, folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            store.write(f"{chunk.objects}/{name}", path.read_bytes())
