"""docs/rest-api.md names what there is: routes with their roles, codes of errors, metrics."""

import re
from pathlib import Path

import pytest
from api_service import Served, served, settings_for
from test_service_api_access import NEEDED

from pleura.errors import PleuraError, TooLargeError
from pleura.service.api import errors
from pleura.service.api.problems import status_of
from pleura.service.errors import (
    BusyError,
    CorruptInputError,
    MissingInputError,
    StoreUnavailableError,
    UnknownJobError,
)

TEXT = (Path(__file__).parents[2] / "docs" / "rest-api.md").read_text()
# Codes that no class has: of HTTP itself, and of what nobody foresaw.
PLAIN = {
    "invalid_http": 400,
    "not_found": 404,
    "method_not_allowed": 405,
    "internal_error": 500,
}


def section(title: str) -> str:
    _, _, rest = TEXT.partition(f"## {title}\n")
    assert rest, title
    return rest.partition("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of the rows of tables, without their heads."""
    found = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found][1:]


def test_the_routes_and_their_roles() -> None:
    stated = {}
    for place, role, *_ in rows("Routes"):
        methods = re.findall(r"\b(GET|POST|PUT|DELETE)\b", place)
        path, *siblings = re.findall(r"[/a-z0-9{}.]*[a-z}]{2,}[a-z0-9.{}]*", place)
        path = path.replace("{id}", "{job_id}")
        paths = [path, *(f"{path.rpartition('/')[0]}/{name}" for name in siblings)]
        stated |= {(method, each): role for method in methods for each in paths}
    roles = {route: "open" if role is None else role.value for route, role in NEEDED.items()}
    roles["GET", "/metrics"] = "read, or open"
    assert stated == roles


def test_the_codes_of_errors() -> None:
    kinds: list[type[PleuraError]] = [
        found
        for found in vars(errors).values()
        if isinstance(found, type)
        and issubclass(found, errors.ApiError)
        and found is not errors.ApiError
    ]
    kinds += [BusyError, CorruptInputError, MissingInputError, StoreUnavailableError]
    kinds += [TooLargeError, UnknownJobError]
    known = {kind.code: status_of(kind) for kind in kinds} | PLAIN
    stated = {
        code: int(status)
        for status, codes in rows("Errors")
        for code in re.findall(r"`([a-z_]+)`", codes)
    }
    assert stated == known


@pytest.fixture
def api(tmp_path: Path, tiny_model: Path) -> object:
    with served(settings_for(tmp_path, tiny_model)) as running:
        yield running


def test_the_metrics(api: Served) -> None:
    client = api.client()
    client.get("/health")
    shown = set(re.findall(r"^# TYPE (\S+)", client.get("/metrics").text, re.M))
    shown = {name for name in shown if not re.search(r"_(gcount|gsum|created)$", name)}
    stated = {name for names, *_ in rows("Metrics") for name in re.findall(r"`(\w+)`", names)}
    assert stated == shown
