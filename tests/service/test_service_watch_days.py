"""Figures from the job table: what is counted, on which day, and what outlives the jobs."""

from datetime import date, timedelta

import pytest
from sqlalchemy import delete
from watch_cases import FIRST, at, job_row, put, put_job

from pleura.errors import TooFewCasesError
from pleura.service.settings.watch import WatchSettings
from pleura.service.store import Recipe, State
from pleura.service.store.engine import writing
from pleura.service.store.tables import jobs
from pleura.service.watch import Figures, current_reference, days, set_reference, summed
from pleura.service.watch.days import keep_days, last_day_over
from pleura.service.watch.figures import figures_of_day
from pleura.service.watch.reference import take_reference
from pleura.service.wiring import Service

NEWER = Recipe("b" * 64, "tiny", "0.0.2")
SETTINGS = WatchSettings(reference_days=7, reference_images=20)


def fill(service: Service, first: date, count: int, images: int) -> None:
    rows = [
        job_row(service, at(first + timedelta(days=number)), score=0.05 * image)
        for number in range(count)
        for image in range(images)
    ]
    put(service, rows)


def test_a_day_is_counted_from_its_jobs(either_service: Service) -> None:
    service = either_service
    for score in (0.02, 0.04, 0.06, 0.97):
        put_job(service, at(FIRST), score=score, wait_s=1.0, total_ms=100)
    put_job(service, at(FIRST), score=0.5, wait_s=10.0, total_ms=400, warnings=("child", "child"))
    put_job(service, at(FIRST), state=State.REFUSED, code="picture_lateral", wait_s=1.0)
    put_job(service, at(FIRST), state=State.FAILED, code="worker_died")
    put_job(service, at(FIRST), state=State.FAILED, code="superseded")
    (figures,) = figures_of_day(service.engine, FIRST)
    assert (figures.judged, figures.positive) == (5, 2)
    assert figures.refused == {"picture_lateral": 1}
    assert figures.failed == {"worker_died": 1}
    assert (figures.answered, figures.finished) == (6, 7)
    assert (figures.warned, figures.warnings) == (1, {"child": 1})
    assert figures.histogram == (3, 0, 0, 0, 0, 1, 0, 0, 0, 1)
    assert figures.deciles()[4] == pytest.approx(0.06, rel=0.03)
    assert figures.wait_ms(0.5) == pytest.approx(1_000, rel=0.02)
    assert figures.wait_ms(0.99) == pytest.approx(10_000, rel=0.02)
    assert figures.total_ms(0.95) == pytest.approx(400, rel=0.02)


def test_a_day_begins_and_ends_at_midnight_utc(either_service: Service) -> None:
    put_job(either_service, at(FIRST, 0))
    put_job(either_service, at(FIRST, 23.9999))
    put_job(either_service, at(FIRST, -0.0001))
    put_job(either_service, at(FIRST, 24))
    (figures,) = figures_of_day(either_service.engine, FIRST)
    assert figures.judged == 2


def test_each_recipe_has_figures_of_its_own(service: Service) -> None:
    put_job(service, at(FIRST))
    put_job(service, at(FIRST), recipe=NEWER)
    put_job(service, at(FIRST), recipe=NEWER)
    found = figures_of_day(service.engine, FIRST)
    assert [(one.model_version, one.judged) for one in found] == [("0.0.1", 1), ("0.0.2", 2)]
    assert summed(found, FIRST, FIRST, NEWER).judged == 2


def test_jobs_that_wait_and_days_without_any_count_nothing(service: Service) -> None:
    put_job(service, at(FIRST), state=State.RECEIVED)
    assert figures_of_day(service.engine, FIRST) == []
    empty = summed([], FIRST, FIRST, service.recipe)
    assert (empty.finished, empty.deciles(), empty.wait_ms(0.5)) == (0, [], None)


def test_figures_survive_json(service: Service) -> None:
    put_job(service, at(FIRST), score=0.7, warnings=("child",))
    (figures,) = figures_of_day(service.engine, FIRST)
    assert Figures.model_validate_json(figures.model_dump_json()) == figures


def test_a_result_whose_record_was_removed_is_counted_without_warnings(service: Service) -> None:
    put_job(service, at(FIRST), warnings=("child",))
    with writing(service.engine) as connection:
        connection.execute(jobs.update().values(record=None))
    (figures,) = figures_of_day(service.engine, FIRST)
    assert (figures.judged, figures.warned) == (1, 0)


def test_days_that_are_over_outlive_their_jobs(either_service: Service) -> None:
    service = either_service
    fill(service, FIRST, 3, 4)
    now = at(FIRST, 24 + 12)  # in the middle of the second day
    keep_days(service.engine, FIRST, now)
    keep_days(service.engine, FIRST, now)
    with writing(service.engine) as connection:
        connection.execute(delete(jobs))
    found = days(service.engine, FIRST, FIRST + timedelta(days=2))
    assert [sum(one.judged for one in day.figures) for day in found] == [4, 0, 0]


@pytest.mark.parametrize(("hour", "days_ago"), [(0.05, 2), (0.1, 1), (23.9, 1)])
def test_a_day_is_over_five_minutes_after_midnight(hour: float, days_ago: int) -> None:
    assert last_day_over(at(FIRST, hour)) == FIRST - timedelta(days=days_ago)


def test_a_reference_is_set_and_belongs_to_its_recipe(either_service: Service) -> None:
    service = either_service
    fill(service, FIRST, 8, 5)
    last = FIRST + timedelta(days=6)
    now = at(FIRST, 24 * 9)
    set_reference(service.engine, service.recipe, SETTINGS, FIRST, last, now)
    reference = current_reference(service.engine, service.recipe)
    assert reference is not None
    assert (reference.days, reference.quiet_days, reference.automatic) == (7, 0, False)
    assert (reference.figures.first, reference.figures.last) == (FIRST, last)
    assert reference.figures.judged == 35
    assert current_reference(service.engine, NEWER) is None


def test_the_newest_reference_counts(service: Service) -> None:
    fill(service, FIRST, 8, 5)
    now = at(FIRST, 24 * 9)
    for count in (7, 5):
        last = FIRST + timedelta(days=count - 1)
        set_reference(service.engine, service.recipe, SETTINGS, FIRST, last, now)
    reference = current_reference(service.engine, service.recipe)
    assert reference is not None
    assert reference.days == 5


def test_a_reference_needs_images_and_days_that_are_over(service: Service) -> None:
    fill(service, FIRST, 2, 5)
    now = at(FIRST, 24 * 9)
    with pytest.raises(TooFewCasesError, match="10 judged images"):
        set_reference(service.engine, service.recipe, SETTINGS, FIRST, FIRST + timedelta(1), now)
    for first, last in ((FIRST, FIRST - timedelta(1)), (FIRST, now.date())):
        with pytest.raises(ValueError, match="in order, and over"):
            set_reference(service.engine, service.recipe, SETTINGS, first, last, now)
    with pytest.raises(TooFewCasesError, match="92 days"):
        set_reference(service.engine, service.recipe, SETTINGS, FIRST - timedelta(92), FIRST, now)


def test_the_first_days_become_the_reference_by_themselves(service: Service) -> None:
    fill(service, FIRST, 5, 5)
    fill(service, FIRST + timedelta(days=6), 4, 5)  # after a day without images
    assert take_reference(service.engine, service.recipe, SETTINGS, at(FIRST, 24 * 7 + 1)) is None
    taken = take_reference(service.engine, service.recipe, SETTINGS, at(FIRST, 24 * 12))
    assert taken is not None
    assert taken == current_reference(service.engine, service.recipe)
    assert (taken.days, taken.quiet_days, taken.automatic) == (7, 1, True)
    assert taken.figures.first == FIRST
    assert taken.figures.last == FIRST + timedelta(days=7)
