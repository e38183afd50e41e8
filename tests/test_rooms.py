"""The rooms and their import rules: the code, this table and docs/architecture.md say the same."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "src" / "pleura"
ARCHITECTURE = REPOSITORY / "docs" / "architecture.md"

# From the floor upwards: a room imports only rooms that stand above it in this table.
# name: (rooms that it imports, packages that it may use: of the base install, or of an extra too)
ROOMS: dict[str, tuple[frozenset[str], str]] = {
    "errors": (frozenset(), "base"),
    "radiograph": (frozenset(), "base"),
    "masks": (frozenset({"errors"}), "base"),
    "io": (frozenset({"errors", "radiograph"}), "base"),
    "engines": (frozenset({"errors"}), "base"),
    "quality": (frozenset({"errors", "masks", "engines", "radiograph"}), "base"),
    "phantom": (frozenset(), "base"),
    "inference": (
        frozenset({"errors", "io", "masks", "engines", "phantom", "quality", "radiograph"}),
        "base",
    ),
    "outputs": (frozenset({"errors", "inference", "io", "masks", "radiograph"}), "base"),
    "losses": (frozenset(), "train"),
    "metrics": (frozenset({"inference"}), "train"),
    "models": (frozenset({"errors", "inference"}), "train"),
    "data": (frozenset({"errors", "inference", "io", "masks"}), "train"),
    "training": (
        frozenset(
            {
                "data",
                "errors",
                "inference",
                "losses",
                "masks",
                "metrics",
                "models",
                "phantom",
                "quality",
                "radiograph",
            }
        ),
        "train",
    ),
    "evaluation": (frozenset({"data", "errors", "inference", "masks", "metrics"}), "train"),
    "export": (
        frozenset(
            {
                "data",
                "errors",
                "evaluation",
                "inference",
                "io",
                "masks",
                "metrics",
                "models",
                "outputs",
                "phantom",
                "quality",
                "radiograph",
                "training",
            }
        ),
        "train",
    ),
    "service": (
        frozenset({"errors", "inference", "io", "outputs", "quality"}),
        "serve",
    ),
    "app": (
        frozenset(
            {
                "data",
                "errors",
                "evaluation",
                "inference",
                "io",
                "masks",
                "outputs",
                "phantom",
                "quality",
                "radiograph",
            }
        ),
        "app",
    ),
    "scale": (frozenset({"errors", "inference", "io", "outputs", "quality"}), "scale"),
    "cli": (
        frozenset(
            {
                "app",
                "data",
                "errors",
                "evaluation",
                "export",
                "inference",
                "io",
                "outputs",
                "phantom",
                "quality",
                "scale",
                "service",
                "training",
            }
        ),
        "base",
    ),
}
# Names under which a distribution is imported, where they differ.
IMPORT_NAMES = {
    "dicomweb-client": "dicomweb_client",
    "opencv-python-headless": "cv2",
    "prometheus-client": "prometheus_client",
    "pydantic-settings": "pydantic_settings",
    "python-multipart": "python_multipart",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
}


@dataclass(frozen=True)
class Import:
    """One import statement, wherever in its file it stands."""

    file: str
    line: int
    module: str
    on_load: bool  # runs when the file is imported: not in a function, not for types alone

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"

    @property
    def room(self) -> str | None:
        """The room of Pleura that is imported, or None."""
        parts = self.module.split(".")
        return parts[1] if parts[0] == "pleura" and len(parts) > 1 else None


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        module = node.module or ""
        return [f"pleura.{a.name}" for a in node.names] if module == "pleura" else [module]
    # A module that is imported by its name, as the lazy public names are; other names are files.
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        named = re.fullmatch(r"pleura\.(\w+)(\.\w+)*(:\w+)?", node.value)
        return [node.value.partition(":")[0]] if named and named[1] in ROOMS else []
    return []


def _walk(node: ast.AST, on_load: bool = True) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        )
        yield child, on_load
        yield from _walk(child, on_load and not later)


def imports_of(path: Path) -> list[Import]:
    """All imports of a file, those inside functions and for types too."""
    file = str(path.relative_to(REPOSITORY)) if path.is_relative_to(REPOSITORY) else path.name
    return [
        Import(file, getattr(node, "lineno", 0), name, on_load)
        for node, on_load in _walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in _names(node)
    ]


def files_by_room() -> dict[str, list[Path]]:
    """The Python files of every room; `pleura/__init__.py` with its lazy names is none."""
    rooms: dict[str, list[Path]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if room != "__init__":
            rooms.setdefault(room, []).append(path)
    return rooms


def _packages() -> dict[str, frozenset[str]]:
    """Import names of the base install, and of the base with each extra."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def modules(requirements: list[str]) -> frozenset[str]:
        found = (re.match(r"[\w.-]+", requirement) for requirement in requirements)
        names = (match.group().lower() for match in found if match)
        return frozenset(IMPORT_NAMES.get(name, name) for name in names)

    base = modules(project["dependencies"])
    extras = project["optional-dependencies"]
    return {"base": base} | {
        name: base | modules(extras[name]) for name in ("train", "serve", "app", "scale")
    }


# Packages beyond those, which a room uses where they are installed and does without elsewhere.
OPTIONAL = {
    "engines": frozenset({"openvino"}),
    "export": frozenset({"nncf", "openvino"}),
}

FILES = files_by_room()
IMPORTS = {
    room: [item for path in paths for item in imports_of(path)] for room, paths in FILES.items()
}


def test_every_room_is_in_the_table() -> None:
    assert set(FILES) == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_the_rooms_of_its_line(room: str) -> None:
    used = [item for item in IMPORTS[room] if item.room not in (None, room, "__version__")]
    allowed = ROOMS[room][0]
    wrong = [str(item) for item in used if item.room not in allowed]
    assert not wrong, f"{room} may not import these: {wrong}"
    stale = allowed - {item.room for item in used}
    assert not stale, (
        f"{room} no longer imports {sorted(stale)}: correct the table and the document"
    )


def test_no_import_runs_upwards_and_none_in_a_circle() -> None:
    below: set[str] = set()
    for room, (imported, _) in ROOMS.items():
        assert imported <= below, f"{room} imports rooms that stand above it"
        below.add(room)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_uses_only_its_packages(room: str) -> None:
    allowed = _packages()[ROOMS[room][1]] | sys.stdlib_module_names | {"pleura"}
    allowed |= OPTIONAL.get(room, frozenset())
    wrong = [str(item) for item in IMPORTS[room] if item.module.partition(".")[0] not in allowed]
    assert not wrong
    early = {item.module.partition(".")[0] for item in IMPORTS[room] if item.on_load}
    assert not early & OPTIONAL.get(room, frozenset())


def test_the_rooms_of_the_base_install_import_no_room_of_an_extra() -> None:
    for room, (imported, packages) in ROOMS.items():
        if packages == "base" and room != "cli":
            assert {ROOMS[name][1] for name in imported} <= {"base"}, room


def test_a_command_imports_its_room_when_it_is_called() -> None:
    """Or `pleura predict` would pay for torch, and fail where it is not installed."""
    early = [
        str(item)
        for item in IMPORTS["cli"]
        if item.on_load and item.room not in (None, "cli", "errors", "__version__")
    ]
    assert not early


def test_the_document_shows_this_table() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    _, _, rest = text.partition("<!-- rooms -->")
    table, end, _ = rest.partition("<!-- end of rooms -->")
    assert end, "docs/architecture.md has no marked table"
    shown = {}
    for line in table.strip().splitlines()[2:]:
        name, _, imported, packages = (cell.strip() for cell in line.strip("|").split("|"))
        shown[name.strip("`")] = (frozenset(re.findall(r"`(\w+)`", imported)), packages)
    assert shown == ROOMS
    assert list(shown) == list(ROOMS), "the order says who stands on whom"


def test_the_reader_of_imports_sees_all_kinds(tmp_path: Path) -> None:
    """A rule that overlooks imports would never fail."""
    path = tmp_path / "example.py"
    path.write_text(
        "import torch.nn as nn\n"
        "from pleura import data\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from pleura.models import Network\n"
        "def late():\n    import pandas\n    from pleura.io.read import read_radiograph\n"
        "HOMES = {'Predictor': 'pleura.inference'}\n"
    )
    found = {item.module: item.on_load for item in imports_of(path)}
    assert found == {
        "torch.nn": True,
        "pleura.data": True,
        "typing": True,
        "pleura.models": False,
        "pandas": False,
        "pleura.io.read": False,
        "pleura.inference": True,
    }
