"""What one reader has in front of them; it lives as long as their browser's session."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pleura.app.cases import Case, Entry, Tray, by_urgency

Points = list[tuple[float, float]]


@dataclass(slots=True)
class Session:
    """The state of one browser tab.

    Attributes:
        tray: the films.
        point: name of the operating point that decides.
        tried: a threshold that is tried on the film in view; None when the point decides.
        open_id: of the film in view; empty for the most urgent one.
        identifying: the reader asked for names.
        reader: who gives feedback.
        drawings: corners of what was drawn, x and y in pixels of the file, by the film's id.
        uploads: how often something was sent; each upload gets a fresh box.
    """

    tray: Tray
    point: str
    tried: float | None = None
    open_id: str = ""
    identifying: bool = False
    reader: str = ""
    drawings: dict[str, Points] = field(default_factory=dict)
    uploads: int = 0

    @property
    def entries(self) -> list[Entry]:
        """The films, the most urgent first."""
        return by_urgency(list(self.tray.entries.values()), self.point)

    def opened(self, entries: Sequence[Entry]) -> Entry | None:
        """The film in view: the chosen one, else the first."""
        chosen = self.tray.entries.get(self.open_id)
        return chosen or (entries[0] if entries else None)

    def open(self, case_id: str) -> None:
        """Look at a film of this session; another session's id changes nothing."""
        if case_id in self.tray.entries:
            self.open_id = case_id
            self.tried = None

    def choose(self, point: str, tried: float | None) -> None:
        """Let an operating point decide, or try another threshold on the film in view."""
        self.point = point
        self.tried = None if tried is None else min(1.0, max(0.0, tried))

    def draw(self, case_id: str, points: Points | None) -> None:
        """Keep what was drawn on a film, or forget it."""
        if points is None:
            self.drawings.pop(case_id, None)
        elif case_id in self.tray.entries and len(points) >= 3:
            self.drawings[case_id] = points

    def name_of(self, entry: Entry) -> str:
        """What a film is called: its number, and its sender's name for it if that is asked for."""
        if not self.identifying:
            return entry.title
        return f"{entry.title}: {entry.source.readable.name}"

    def clear(self) -> None:
        """Forget all films and what was drawn on them."""
        self.tray.clear()
        self.drawings.clear()
        self.open_id, self.tried = "", None


def neighbours(entries: Sequence[Entry], of: Entry) -> tuple[str, str]:
    """Ids of the films before and after one in the list; empty at its ends."""
    ids = [entry.id for entry in entries]
    at = ids.index(of.id)
    return ids[at - 1] if at else "", ids[at + 1] if at + 1 < len(ids) else ""


def summary(entries: Sequence[Entry], point: str) -> str:
    """`40 films: 12 with a pneumothorax, 27 without, 1 not judged`."""
    judged = [entry for entry in entries if isinstance(entry, Case)]
    positive = sum(case.results[point].present for case in judged)
    films = "1 film" if len(entries) == 1 else f"{len(entries)} films"
    parts = [f"{positive} with a pneumothorax", f"{len(judged) - positive} without"]
    if len(judged) < len(entries):
        parts.append(f"{len(entries) - len(judged)} not judged")
    return f"{films}: {', '.join(parts)}"
