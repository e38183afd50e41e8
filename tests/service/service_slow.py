"""Judging that is as slow as a test wants, and a parent of such processes.

python service_slow.py SETTINGS.json

While there is a file `slow` in the data folder, the predictor does not come back.
"""

import sys
import time
from pathlib import Path
from typing import Any

from pleura.service import worker
from pleura.service.child import Stop
from pleura.service.logs import configure_logging
from pleura.service.recipe import load_predictor
from pleura.service.settings import Settings
from pleura.service.supervisor import KEEPER, Role, Supervisor
from pleura.service.wiring import Service


class SlowPredictor:
    """A predictor that waits for a file to vanish."""

    def __init__(self, predictor: Any, folder: Path) -> None:
        self._predictor = predictor
        self._folder = folder

    def predict(self, source: Any) -> Any:
        (self._folder / "begun").touch()
        while (self._folder / "slow").exists():
            time.sleep(0.01)
        return self._predictor.predict(source)


def judge_slowly(service: Service, stop: Stop) -> None:
    """`judge_forever` with a slow predictor."""
    folder = service.settings.storage.folder

    def slow(*arguments: Any, **named: Any) -> Any:
        return SlowPredictor(load_predictor(*arguments, **named), folder)

    worker.load_predictor = slow
    worker.judge_forever(service, stop)


def die_at_once(service: Service, _: Stop) -> None:
    """Notes that it was started, and dies."""
    with (service.settings.storage.folder / "starts").open("a") as starts:
        starts.write(f"{time.monotonic()}\n")
    raise RuntimeError("dies at once")


if __name__ == "__main__":
    settings = Settings.model_validate_json(Path(sys.argv[1]).read_text())
    configure_logging(settings.logs)
    judge = Role("judge", f"service_slow:{sys.argv[2]}", watched=True)
    Supervisor(settings, [*[judge] * settings.worker.count, KEEPER]).run()
