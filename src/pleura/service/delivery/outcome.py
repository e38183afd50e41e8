"""What a destination said of each object, and what that means for the delivery."""

from collections.abc import Callable, Sequence
from enum import Enum, auto
from pathlib import Path
from typing import Protocol

from pleura.service.errors import NeverTakenError, NotTakenError

SOP_CLASS_NOT_SUPPORTED = 0x0122
_WARNINGS = frozenset({0x0001, 0x0107, 0x0116}) | frozenset(range(0xB000, 0xC000))


class Said(Enum):
    """What the destination said of one object."""

    TAKEN = auto()
    NOT_NOW = auto()
    NEVER = auto()


class Sender(Protocol):
    """Sends objects to one destination. Safe for one thread."""

    def send(self, objects: Sequence[Path]) -> None:
        """Send all objects; returns when each of them was taken.

        Raises:
            DeliveryError: not all were taken.
            SettingsError: a certificate or key cannot be used.
        """

    def close(self) -> None:
        """End the connection, if there is one."""


def said_by(status: int) -> Said:
    """What a status of C-STORE, or a failure reason of STOW-RS, says (PS3.4 B.2.3, PS3.18 I.2.2).

    Warnings, as that an element was coerced, mean that the object was taken.
    """
    if status == 0 or status in _WARNINGS:
        return Said.TAKEN
    return Said.NEVER if status == SOP_CLASS_NOT_SUPPORTED else Said.NOT_NOW


def check_all_taken(said: Sequence[Said], why: Callable[[], str]) -> None:
    """Whether every object was taken.

    Args:
        said: of each object.
        why: what the destination gave as a reason, in a few words.

    Raises:
        NotTakenError: some were not, and may be another time.
        NeverTakenError: some were not and never will be; the others were.
    """
    taken = said.count(Said.TAKEN)
    if taken == len(said):
        return
    text = f"{taken} of {len(said)} objects were taken ({why()})."
    raise NotTakenError(text) if Said.NOT_NOW in said else NeverTakenError(text)
