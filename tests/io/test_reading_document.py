"""docs/reading.md: the tests, notices and codes that it names are those that there are."""

import re
from pathlib import Path

from fuzzing import CODES

from pleura import errors

TESTS = Path(__file__).parent
REPOSITORY = TESTS.parents[1]
DOCUMENT = (REPOSITORY / "docs" / "reading.md").read_text(encoding="utf-8")
SOURCES = "".join(
    path.read_text(encoding="utf-8") for path in (REPOSITORY / "src/pleura/io").glob("*.py")
)


def test_tests_that_are_named_exist() -> None:
    written = "".join(path.read_text(encoding="utf-8") for path in TESTS.glob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", DOCUMENT))
    assert len(named) > 30
    assert {name for name in named if f"def {name}(" not in written} == set()


def test_notices_that_are_listed_are_those_that_are_given() -> None:
    listed = re.search(r"Notices on a radiograph: (.*?)\n\n", DOCUMENT, re.DOTALL)
    assert listed is not None
    given = re.findall(r'Notice\(\s*"(\w+)"', SOURCES)
    assert set(re.findall(r"`(\w+)`", listed[1])) == set(given)


def test_refusals_that_are_listed_are_those_that_are_raised() -> None:
    section = DOCUMENT.partition("\n## Refusals\n")[2].partition("\n## ")[0]
    listed = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)))
    raised = {
        kind.code
        for kind in errors.RefusedInputError.__subclasses__()
        if f"{kind.__name__}(" in SOURCES
    }
    assert set(listed) == raised == set(CODES)
