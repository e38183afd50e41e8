"""The model judges synthetic radiographs and is held against its manifest, in a process apart.

A process apart, because a network that crashes or hangs must not take the watch with it, and
because the memory of a second model is given back when it ends.
"""

import json
import os
import subprocess
import sys

from pydantic import BaseModel, ConfigDict, ValidationError

from pleura.errors import PleuraError
from pleura.inference import Predictor
from pleura.inference.selftest import compare
from pleura.service.settings.work import ModelSettings
from pleura.service.watch.alarms import Alarm, Code

_CHILD = "from pleura.service.watch.selftest import child; child()"


class Selftest(BaseModel):
    """What a self-test gave.

    Attributes:
        cases: synthetic radiographs that the manifest records.
        agreed: of these, with probability and area as recorded.
        largest: largest difference of a probability.
        error: code of what kept it from being made; None if it was made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cases: int = 0
    agreed: int = 0
    largest: float = 0.0
    error: str | None = None

    @property
    def passed(self) -> bool:
        """All agreed; also where the manifest records no cases."""
        return self.error is None and self.agreed == self.cases


def run_selftest(settings: ModelSettings, seconds: float) -> Selftest:
    """Make the self-test of the model that the settings name.

    Args:
        settings: of the model.
        seconds: after which the process is killed.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", _CHILD],
            input=json.dumps({"model": settings.model}).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Selftest(error="timeout")
    except OSError:
        return Selftest(error="not_started")
    try:
        return Selftest.model_validate_json(done.stdout)
    except ValidationError:
        return Selftest(error="died")


def child() -> None:
    """Make the self-test here: settings as JSON on standard input, the outcome on standard output.

    The default operating point decides, as it did when the cases were recorded; one thread, so that
    the workers keep the cores.
    """
    model = json.load(sys.stdin)["model"]
    sys.stdout.write(_made(model).model_dump_json())


def alarm_of(selftest: Selftest) -> Alarm | None:
    """The alarm of a self-test that was not passed."""
    if selftest.passed:
        return None
    if selftest.error is not None:
        text = f"The self-test could not be made [{selftest.error}]."
    else:
        text = (
            f"The model differs from its manifest on {selftest.cases - selftest.agreed} of"
            f" {selftest.cases} synthetic radiographs; the largest difference of a probability is"
            f" {selftest.largest:.3f}."
        )
    return Alarm(code=Code.SELFTEST, text=text)


def _made(model: str | None) -> Selftest:
    try:
        predictor = Predictor.load(model, threads=1)
        comparisons = [compare(predictor, case) for case in predictor.manifest.selftest]
    except PleuraError as error:
        return Selftest(error=error.code)
    differences = [abs(one.measured.probability - one.expected.probability) for one in comparisons]
    return Selftest(
        cases=len(comparisons),
        agreed=sum(one.agrees for one in comparisons),
        largest=max(differences, default=0.0),
    )
