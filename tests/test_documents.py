"""The documents: every link leads somewhere, every command and option that they show exists."""

import re
from pathlib import Path

import pytest

from pleura.cli.main import COMMANDS

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
PLACEHOLDER = re.compile(r"%[A-Z_]{3,}%|\bTBD\b|\bFIXME\b|\bXXX\b")
NAMES = [path.relative_to(REPOSITORY).as_posix() for path in DOCUMENTS]


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    path = REPOSITORY / name
    local = [
        target.partition("#")[0]
        for target in LINK.findall(path.read_text(encoding="utf-8"))
        if not target.startswith(("http", "#"))
    ]
    assert [target for target in local if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_waits_to_be_filled_in(name: str) -> None:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    assert text.strip()
    assert PLACEHOLDER.findall(text) == []


@pytest.mark.parametrize("name", NAMES)
def test_commands_that_are_shown_exist(name: str) -> None:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    shown = re.findall(r"^\s*(?:\$ )?pleura ([a-z]+)", text, re.M) + re.findall(
        r"`pleura ([a-z]+)", text
    )
    assert set(shown) <= set(COMMANDS)


def test_the_readme_shows_the_two_commands_and_what_it_is_not() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for wanted in ("make demo", "make test", "not a medical device", "docs/model-card.md"):
        assert wanted in text
