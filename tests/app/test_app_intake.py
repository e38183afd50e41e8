"""Films come in from uploads, archives and folders; nothing leaves the root, nothing is hidden."""

from pathlib import Path

import pytest
from app_films import png, zipped

from pleura.app.cases import Refused
from pleura.app.engine import LocalEngine
from pleura.app.intake import films_below, films_of, folders_below
from pleura.errors import NotFoundError, TooLargeError
from pleura.io import Limits

LIMITS = Limits()


def test_a_file_is_one_film() -> None:
    (film,) = films_of("a.png", png(), LIMITS)
    assert film.readable.read() == png()
    assert (film.readable.name, film.path) == ("a.png", "")


def test_an_archive_is_its_members_and_touches_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = zipped({"a.png": png(0), "b/c.png": png(1), "__MACOSX/x": b"", "readme.txt": b"hi"})
    films = list(films_of("sent.zip", content, LIMITS))
    assert [film.readable.name for film in films] == [
        "sent.zip#a.png", "sent.zip#b/c.png", "sent.zip#readme.txt",
    ]  # fmt: skip
    assert films[1].readable.read() == png(1)
    assert list(tmp_path.iterdir()) == []


def test_a_member_beyond_the_limit_is_refused_and_the_next_is_read() -> None:
    content = zipped({"huge.dcm": bytes(50_000), "a.png": png()})
    huge, small = films_of("sent.zip", content, Limits(max_bytes=20_000))
    with pytest.raises(TooLargeError):
        huge.readable.read()
    assert small.readable.read() == png()


def test_a_damaged_archive_is_refused_with_a_hint(tiny_engine: LocalEngine) -> None:
    (film,) = films_of("sent.zip", zipped({"a.png": png()})[:100], LIMITS)
    refused = tiny_engine.judge("id", 1, film)
    assert isinstance(refused, Refused)
    assert refused.refusal.code == "truncated"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a folder, an archive, and links that lead out of it."""
    root = tmp_path / "root"
    (root / "ward" / "monday").mkdir(parents=True)
    (root / ".hidden").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "secret.png").write_bytes(png(9))
    (root / "a.png").write_bytes(png(0))
    (root / "ward" / "monday" / "b.png").write_bytes(png(1))
    (root / "ward" / "c.zip").write_bytes(zipped({"d.png": png(2)}))
    (root / "ward" / "link.png").symlink_to(tmp_path / "secret" / "secret.png")
    (root / "ward" / "link").symlink_to(tmp_path / "secret")
    return root


def test_a_folder_gives_its_films_and_where_they_lie(root: Path) -> None:
    films = {
        film.readable.name.rpartition("/")[2]: film for film in films_below(root, Path(), LIMITS)
    }
    assert films["a.png"].path == "a.png"
    assert films["b.png"].path == "ward/monday/b.png"
    assert films["c.zip#d.png"].path == ""
    assert films["c.zip#d.png"].readable.read() == png(2)


def test_links_that_lead_out_are_refused(root: Path) -> None:
    names = {"secret.png", "link.png"}
    found = films_below(root, Path("ward"), LIMITS)
    out = [film for film in found if Path(film.readable.name).name in names]
    assert len(out) == 2
    for film in out:
        with pytest.raises(NotFoundError, match="leads out"):
            film.readable.read()


@pytest.mark.parametrize("folder", ["..", "../secret", "ward/../../secret", "nowhere", "a.png"])
def test_nothing_outside_of_the_root_is_opened(root: Path, folder: str) -> None:
    with pytest.raises(NotFoundError):
        list(films_below(root, Path(folder), LIMITS))


def test_an_absolute_path_is_not_opened(root: Path) -> None:
    with pytest.raises(NotFoundError):
        list(films_below(root, root.parent / "secret", LIMITS))


def test_folders_are_listed_without_hidden_ones_and_links(root: Path) -> None:
    found = [folder.as_posix() for folder in folders_below(root)]
    assert found == [".", "ward", "ward/monday"]
