"""Counts of results, which add up over the parts of a run."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

from pleura.inference import Prediction, Refusal, Result, Status


@dataclass
class Tally:
    """How many inputs ended in which way.

    Attributes:
        present: predicted, and the finding is present.
        absent: predicted, and it is not.
        refused: by error code.
        failed: by error code.
        unwritten: DICOM objects that could not be made of a prediction, by error code.
    """

    present: int = 0
    absent: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    unwritten: Counter[str] = field(default_factory=Counter)

    @property
    def predicted(self) -> int:
        """Inputs with a prediction."""
        return self.present + self.absent

    @property
    def inputs(self) -> int:
        """All inputs."""
        return self.predicted + self.refused.total() + self.failed.total()

    def count(self, result: Result) -> None:
        """Count one result."""
        if isinstance(result, Refusal):
            codes = self.refused if result.status is Status.REFUSED else self.failed
            codes[result.code] += 1
        elif isinstance(result, Prediction) and result.present:
            self.present += 1
        else:
            self.absent += 1

    def add(self, other: "Tally") -> None:
        """Add the counts of another part."""
        self.present += other.present
        self.absent += other.absent
        for name in ("refused", "failed", "unwritten"):
            getattr(self, name).update(getattr(other, name))

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object has it."""
        codes = {"refused": self.refused, "failed": self.failed, "unwritten": self.unwritten}
        return {"present": self.present, "absent": self.absent} | {
            name: dict(sorted(counter.items())) for name, counter in codes.items()
        }

    def to_json(self) -> str:
        """As the text of a JSON object."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The inverse of `to_json`."""
        found = json.loads(text)
        codes = {name: Counter(found[name]) for name in ("refused", "failed", "unwritten")}
        return cls(found["present"], found["absent"], **codes)
