"""Films of a session: each judged once, the urgent first, none hidden, no more than may be."""

import threading
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from app_films import BOX, dicom, png

from pleura.app.cases import Case, Refused, Source, Tray, Upload, by_urgency
from pleura.app.engine import LocalEngine
from pleura.app.session import Session, neighbours, summary
from pleura.errors import ModelError
from pleura.inference import OperatingPoint

POINT = "balanced"


def source(content: bytes, name: str = "film.png") -> Source:
    return Source(Upload(name, content))


def judged(engine: LocalEngine, *contents: bytes) -> list[Case | Refused]:
    tray = Tray(100, 1 << 30)
    tray.add([source(content) for content in contents])
    while tray.work(engine.judge) is not None:
        pass
    return list(tray.entries.values())


def test_positives_come_first_and_the_refused_last(tiny_engine: LocalEngine) -> None:
    entries = judged(
        tiny_engine, png(0, False), b"no film", png(1), png(2, False), b"", dicom(3), png(4)
    )
    ordered = by_urgency(entries, POINT)
    shown = [
        ("refused" if isinstance(e, Refused) else e.results[POINT].present, e.number)
        for e in ordered
    ]
    assert [state for state, _ in shown] == [True] * 3 + [False] * 2 + ["refused"] * 2
    assert summary(ordered, POINT) == "7 films: 3 with a pneumothorax, 2 without, 2 not judged"
    for first, second in pairwise(ordered[:5]):
        assert isinstance(first, Case)
        assert isinstance(second, Case)
        if first.results[POINT].present == second.results[POINT].present:
            assert first.results[POINT].probability >= second.results[POINT].probability


def test_a_refused_film_says_why_and_what_to_do(tiny_engine: LocalEngine) -> None:
    (refused,) = judged(tiny_engine, b"this is a text")
    assert isinstance(refused, Refused)
    assert refused.refusal.code == "not_an_image"
    assert refused.refusal.hint


def test_every_point_is_decided_without_running_the_networks_again(
    tiny_engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (case,) = judged(tiny_engine, png(0, False))
    assert isinstance(case, Case)
    assert not case.results["balanced"].present
    assert case.results["sensitive"].present  # 0.05 against 0.01
    radiograph = tiny_engine.radiograph(case)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the networks were run")

    monkeypatch.setattr(tiny_engine.predictor._session, "classify", never)
    monkeypatch.setattr(tiny_engine.predictor._session, "segment", never)
    probability = case.results["balanced"].probability
    assert tiny_engine.tried(case, radiograph, probability - 0.001).present
    assert not tiny_engine.tried(case, radiograph, probability + 0.001).present
    assert len(tiny_engine.take(case, "sensitive", tiny_engine.kinds(case)[0])) > 1000


def test_a_point_that_is_not_the_models_decides(tiny_engine: LocalEngine) -> None:
    raw = tiny_engine.predictor.predict_raw(dicom())
    decided = {
        threshold: tiny_engine.predictor.decide(
            raw,
            operating_point=OperatingPoint(
                name="mine", threshold=threshold, sensitivity=0, specificity=0
            ),
        )
        for threshold in (raw.probability, min(1.0, raw.probability + 1e-6))
    }
    assert [one.present for one in decided.values()] == [True, raw.probability == 1.0]
    with pytest.raises(ModelError):
        tiny_engine.predictor.decide(raw, operating_point="mine")


def test_the_mask_of_a_case_is_the_predictors(tiny_engine: LocalEngine) -> None:
    from pleura.app.rendering import mask_of

    (case,) = judged(tiny_engine, dicom())
    assert isinstance(case, Case)
    mask = mask_of(case.results[POINT])
    assert (mask == tiny_engine.predictor.predict(dicom()).mask).all()
    top, left, bottom, right = BOX
    assert mask[top + 6 : bottom - 6, left + 6 : right - 6].all()


def test_a_case_keeps_no_pixels(tiny_engine: LocalEngine) -> None:
    (case,) = judged(tiny_engine, dicom())
    assert isinstance(case, Case)
    assert case.raw is not None
    assert case.raw.radiograph.pixels.size == 1
    assert case.raw.timings_ms["decode"] > 0
    again = tiny_engine.radiograph(case)
    assert again.shape == case.shape


def test_only_the_last_films_stay_decoded(tiny_engine: LocalEngine) -> None:
    tray = Tray(10, 1 << 30)
    tray.add([source(png(n)) for n in range(3)])
    while tray.work(tiny_engine.judge):
        pass
    read: Counter[str] = Counter()

    def reading(case: Case) -> object:
        read[case.id] += 1
        return tiny_engine.radiograph(case)

    first, second, third = tray.cases
    for case in (first, second, first, third, first, second):
        tray.radiograph(case, reading)  # type: ignore[arg-type]
    assert [read[case.id] for case in (first, second, third)] == [1, 2, 1]


def test_two_scripts_of_one_session_judge_each_film_once(tiny_engine: LocalEngine) -> None:
    tray = Tray(100, 1 << 30)
    tray.add([source(png(n, n % 3 == 0)) for n in range(24)])
    seen: Counter[int] = Counter()

    def work() -> None:
        while (entry := tray.work(tiny_engine.judge)) is not None:
            seen[entry.number] += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen == Counter(range(1, 25))
    assert tray.progress == (24, 24)


def test_what_is_beyond_the_bounds_is_counted_and_not_taken(tiny_engine: LocalEngine) -> None:
    tray = Tray(2, 5000)
    tray.add([source(png(0))], held_bytes=3000)
    tray.add([source(png(1))], held_bytes=3000)
    assert (tray.waiting, tray.left_out) == (1, 1)
    tray.add([source(png(n)) for n in range(5)], held_bytes=1000)
    assert (tray.waiting, tray.left_out) == (2, 5)
    while tray.work(tiny_engine.judge):
        pass
    tray.clear()
    tray.add([source(png(0))], held_bytes=5000)
    assert (tray.waiting, tray.left_out) == (1, 0)


def test_progress_counts_what_was_sent_last(tiny_engine: LocalEngine) -> None:
    tray = Tray(100, 1 << 30)
    tray.add([source(png(n)) for n in range(3)])
    assert tray.progress == (0, 3)
    tray.work(tiny_engine.judge)
    tray.add([source(png(9))])
    assert tray.progress == (1, 4)
    while tray.work(tiny_engine.judge):
        pass
    tray.add([source(png(8))])
    assert tray.progress == (0, 1)


def test_a_session_opens_its_own_films_alone(tiny_engine: LocalEngine) -> None:
    tray = Tray(10, 1 << 30)
    tray.add([source(png(n, n == 1)) for n in range(3)])
    while tray.work(tiny_engine.judge):
        pass
    session = Session(tray, POINT)
    entries = session.entries
    assert [entry.number for entry in entries] == [2, 1, 3]
    assert session.opened(entries) is entries[0]
    session.open(entries[2].id)
    assert session.opened(entries) is entries[2]
    session.open("0123456789abcdef")
    assert session.opened(entries) is entries[2]
    assert neighbours(entries, entries[0]) == ("", entries[1].id)
    assert neighbours(entries, entries[2]) == (entries[1].id, "")
    session.draw("0123456789abcdef", [(0, 0), (1, 0), (1, 1)])
    assert session.drawings == {}


def test_a_tried_threshold_ends_with_the_film(tiny_engine: LocalEngine) -> None:
    tray = Tray(10, 1 << 30)
    tray.add([source(png(n)) for n in range(2)])
    while tray.work(tiny_engine.judge):
        pass
    session = Session(tray, POINT)
    session.choose(POINT, 7.0)
    assert session.tried == 1.0
    session.open(tray.cases[1].id)
    assert session.tried is None


def test_names_are_told_only_to_who_asks(tiny_engine: LocalEngine) -> None:
    tray = Tray(10, 1 << 30)
    tray.add([source(png(0), "Quixote_Alonso.png")])
    tray.work(tiny_engine.judge)
    session = Session(tray, POINT)
    (case,) = tray.cases
    assert session.name_of(case) == "Film 1"
    session.identifying = True
    assert "Quixote" in session.name_of(case)


def test_an_unforeseen_error_stops_nothing(
    tiny_engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        name = "broken.dcm"

        def read(self) -> bytes:
            raise RuntimeError("Quixote^Alonso")

    tray = Tray(10, 1 << 30)
    tray.add([replace(source(b""), readable=Broken()), source(png())])
    while tray.work(tiny_engine.judge):
        pass
    first, second = tray.entries.values()
    assert isinstance(first, Refused)
    assert first.refusal.code == "internal_error"
    assert "Quixote" not in str(first.refusal)
    assert isinstance(second, Case)
    assert np.isfinite(second.results[POINT].probability)
