"""Stores with a clock that tests set, and what is put into them."""

from datetime import UTC, datetime, timedelta

from pleura.service.store import Failure, Outcome, Received, Recipe

RECIPE = Recipe("a" * 64, "tiny", "1")
NEWER = Recipe("b" * 64, "tiny", "2")
FAILURE = Failure("broken", "It broke.", "Mend it.")


class SetClock:
    """A clock that stands still until it is set forward."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


def received(number: int = 0, **changes: str) -> Received:
    """An image; each number another one."""
    fields = {
        "name": f"name {number}",
        "source": "dicom:MODALITY",
        "sop_instance_uid": f"1.2.{number}",
        "study_instance_uid": f"1.1.{number}",
    } | changes
    return Received(f"{number:064x}", 1000 + number, **fields)


def outcome(probability: float = 0.9, results: str | None = "made") -> Outcome:
    """A result."""
    return Outcome(
        record='{"status":"ok"}',
        probability=probability,
        present=probability >= 0.5,
        results=results,
        results_size=77,
        timings_ms=(("total", 12.5), ("decode", 3.0)),
    )


def refusal() -> Outcome:
    return Outcome(record='{"status":"refused"}', failure=FAILURE)
