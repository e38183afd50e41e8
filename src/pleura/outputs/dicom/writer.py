"""Writing DICOM objects, one file for each result and kind."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from pleura.errors import PleuraError
from pleura.inference.prediction import Prediction, Refusal, Result
from pleura.outputs.dicom.options import DicomOptions, Kind
from pleura.outputs.names import FileNamer, input_name

INTERNAL_ERROR = "internal_error"
MOST_NAMES = 5
NO_DATE = datetime(1900, 1, 1)
_REPORT = "Report it, with the header but without the patient."


class Unwritten:
    """Results that are in other formats, but could not become a DICOM object.

    Attributes:
        codes: of the errors, and how many objects each one cost.
        inputs: names of the first few inputs, as the user gave them.
        more: there are further ones.
        hints: what can be done, by code.
    """

    def __init__(self) -> None:
        self.codes: Counter[str] = Counter()
        self.inputs: list[str] = []
        self.more = False
        self.hints: dict[str, str] = {}

    def add(self, name: str, code: str, hint: str) -> None:
        """Count one object that could not be written."""
        self.codes[code] += 1
        self.hints[code] = hint
        if name in self.inputs:
            return
        if len(self.inputs) < MOST_NAMES:
            self.inputs.append(name)
        else:
            self.more = True


class DicomWriter:
    """Writes `KIND/NAME.dcm` for each result that the kind says something of.

    A file appears under its name only when it is complete. The same results in the same order get
    the same names as the overlays; where a result has no object, one of an earlier run under its
    name is removed. A result that no object can be made of is counted, and stops nothing.

    Args:
        folder: where the folder of the kind is made.
        kind: of the objects.
        options: what the user chose.
        unwritten: where results are counted that no object could be made of.
        clock: local time.
    """

    def __init__(
        self,
        folder: Path,
        kind: Kind,
        options: DicomOptions,
        unwritten: Unwritten,
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.path = folder / kind.value
        self.path.mkdir(exist_ok=True)
        self._kind = kind
        self._options = options
        self._unwritten = unwritten
        self._clock = clock
        self._namer = FileNamer()

    def write(self, result: Result) -> None:
        """Build and write one object.

        Raises:
            OSError: it cannot be written.
        """
        if isinstance(result, Refusal):
            return
        target = self.path / f"{self._namer.name(input_name(result))}.dcm"
        encoded = self._encoded(result)
        if encoded is None:
            # What an earlier run said under this name is not what this one says.
            target.unlink(missing_ok=True)
            return
        partial = target.with_suffix(".dcm.part")
        partial.write_bytes(encoded)
        partial.replace(target)

    def close(self) -> None:
        """Nothing stays open between objects."""

    def _encoded(self, result: Prediction) -> bytes | None:
        from pleura.outputs.dicom.build import build  # highdicom, half a second

        try:
            made_at = self._clock() if self._options.dated else NO_DATE
            return build(self._kind, result, self._options, made_at)
        except PleuraError as error:
            self._unwritten.add(input_name(result), error.code, error.hint)
        # A header that nobody foresaw must not stop the run, and an error may repeat its values.
        except Exception:
            self._unwritten.add(input_name(result), INTERNAL_ERROR, _REPORT)
        return None
