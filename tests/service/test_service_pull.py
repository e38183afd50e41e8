"""`pleura pull`: what is wanted is fetched once, what fails is said, and the rest goes on."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from dicom_peer import associated, node_settings
from pydicom import dcmread
from pydicom.dataset import FileDataset
from service_images import dataset
from service_receivers import Answer, Asked, WebServer, web_server
from service_tools import free_port

from pleura.cli.main import main
from pleura.service.node import Node
from pleura.service.pull import Criteria, PullTally, pull
from pleura.service.settings import Settings
from pleura.service.settings.destinations import StowDestination
from pleura.service.store import Failure, Recipe, State
from pleura.service.wiring import Service, open_service

CR, DX, SC = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("1", "1.1", "7"))


def text(entry: FileDataset, *keywords: str) -> dict[str, Any]:
    found = {}
    for keyword in keywords:
        if keyword in entry:
            element = entry[keyword]
            tag = f"{int(element.tag):08X}"
            found[tag] = {"vr": element.VR, "Value": [str(element.value)]}
    return found


class Archive:
    """A small DICOMweb server: QIDO-RS and WADO-RS of these images.

    Attributes:
        broken: answers instead of images, by the number of the image.
        page: most entries of an answer; it warns when there are more.
    """

    def __init__(self, *images: FileDataset, page: int = 1000) -> None:
        self.images = list(images)
        self.page = page
        self.broken: dict[str, Answer] = {}

    def __call__(self, asked: Asked) -> Answer:
        path, _, query = asked.path.partition("?")
        found = re.fullmatch(
            r"/dicom-web/studies(?:/([\d.]+)/series(?:/([\d.]+)/instances(?:/([\d.]+))?)?)?", path
        )
        if found is None:
            return 404, {}, b""
        study, series, instance = found.groups()
        chosen = [
            image
            for image in self.images
            if study in (None, image.StudyInstanceUID) and series in (None, image.SeriesInstanceUID)
        ]
        if instance is not None:
            return self.retrieved(instance)
        given = dict(part.partition("=")[::2] for part in query.split("&") if part)
        if study is None:
            return self.studies(chosen, given)
        if series is None:
            chosen = [image for image in chosen if image.Modality == given["Modality"]]
            return self.listed(chosen, "SeriesInstanceUID", given, "Modality")
        return self.listed(chosen, "SOPInstanceUID", given, "SOPClassUID")

    def studies(self, chosen: list[FileDataset], given: dict[str, str]) -> Answer:
        first, _, last = given.get("StudyDate", "-").partition("-")
        chosen = [
            image
            for image in chosen
            if image.Modality == given["ModalitiesInStudy"]
            and (first or "0") <= image.StudyDate <= (last or "9")
            and given.get("StudyInstanceUID") in (None, image.StudyInstanceUID)
        ]
        more = ("PatientAge", "PatientBirthDate", "StudyDate")
        return self.listed(chosen, "StudyInstanceUID", given, *more)

    def listed(
        self, chosen: list[FileDataset], key: str, given: dict[str, str], *more: str
    ) -> Answer:
        entries = {image[key].value: text(image, key, *more) for image in chosen}
        offset = int(given["offset"])
        size = min(int(given["limit"]), self.page)
        page = list(entries.values())[offset : offset + size]
        if not page:
            return 204, {}, b""
        left = len(entries) > offset + size
        warning = {"Warning": '299 server: "there are more"'} if left else {}
        return 200, warning | {"Content-Type": "application/dicom+json"}, json.dumps(page).encode()

    def retrieved(self, instance: str) -> Answer:
        if instance in self.broken:
            return self.broken[instance]
        for image in self.images:
            if image.SOPInstanceUID == instance:
                return multipart(content_of(image))
        return 404, {}, b""


def content_of(image: FileDataset) -> bytes:
    stream = BytesIO()
    image.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def multipart(content: bytes) -> Answer:
    body = b"\r\n--edge\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--edge--\r\n"
    return 200, {"Content-Type": 'multipart/related; type="application/dicom"; boundary=edge'}, body


def server_of(url: str, **options: Any) -> StowDestination:
    options = {"connect_seconds": 2, "response_seconds": 5} | options
    return StowDestination(name="archive", kind="stow", url=url, **options)


def pulled(
    service: Service, archive: Callable[[Asked], Answer], **criteria: Any
) -> tuple[PullTally, WebServer]:
    with web_server(archive) as server:
        tally = pull(service, server_of(server.url), Criteria(**criteria), patience_seconds=0.2)
    return tally, server


def received(service: Service) -> set[str]:
    return {job.received.sop_instance_uid for job in service.jobs.find()}


def made(number: int, **elements: Any) -> FileDataset:
    image = dataset(number)
    for keyword, value in elements.items():
        setattr(image, keyword, value)
    return image


def test_images_become_jobs_as_they_are(service: Service) -> None:
    archive = Archive(made(1), made(2))
    tally, _ = pulled(service, archive)
    assert (tally.fetched, tally.exit_status) == (2, 0)
    for job in service.jobs.find():
        assert job.received.source == "pull"
        (image,) = (i for i in archive.images if i.SOPInstanceUID == job.received.sop_instance_uid)
        assert job.received.study_instance_uid == image.StudyInstanceUID
        assert dcmread(service.files.input_path(job.received.sha256)) == image


def test_what_was_pulled_and_then_sent_is_one_job(service: Service) -> None:
    pulled(service, Archive(made(1)))
    with (
        Node(node_settings(grace_seconds=0), service.intake) as node,
        associated(node.port) as peer,
    ):
        assert peer.send_c_store(made(1)).Status == 0
    assert len(service.jobs.find()) == 1


def test_a_file_without_its_proper_beginning_is_kept_as_it_is(service: Service) -> None:
    archive = Archive(made(1), made(2), made(3))
    wanted = set()
    for image, start in zip(archive.images, (b"", b"DICM", bytes(128) + b"DICM"), strict=True):
        content = content_of(image)
        bare = start + content[144 + int.from_bytes(content[140:144], "little") :]
        archive.broken[image.SOPInstanceUID] = multipart(bare)
        wanted.add(bare)
    tally, _ = pulled(service, archive)
    assert tally.fetched == 3
    stored = {service.files.input_path(job.received.sha256) for job in service.jobs.find()}
    assert {path.read_bytes() for path in stored} == wanted


def test_what_is_known_is_not_fetched_again(service: Service) -> None:
    archive = Archive(made(1), made(2))
    pulled(service, archive)
    archive.images.append(made(3))
    tally, server = pulled(service, archive)
    assert (tally.fetched, tally.known, tally.exit_status) == (1, 2, 0)
    retrieved = [asked.path for asked in server.asked if asked.path.count("/") == 7]
    assert len(retrieved) == 1


def test_for_another_recipe_nothing_is_known(service: Service) -> None:
    pulled(service, Archive(made(1)))
    study = str(made(1).StudyInstanceUID)
    assert service.jobs.known_instances(study, service.recipe)
    assert not service.jobs.known_instances(study, Recipe("0" * 64, "other", "1"))


def test_an_image_that_was_given_up_is_fetched_again(service: Service) -> None:
    archive = Archive(made(1))
    pulled(service, archive)
    job = service.jobs.claim("me", service.recipe)
    assert job is not None
    service.jobs.fail(job, Failure("code", "message", "hint"), final=True)
    tally, _ = pulled(service, archive)
    assert tally.fetched == 1
    assert service.jobs.get(job.id).state is State.RECEIVED


@pytest.mark.parametrize(
    ("criteria", "numbers"),
    [
        ({"from_date": date(2020, 1, 2)}, {2, 3}),
        ({"to_date": date(2020, 1, 2)}, {1, 2}),
        ({"from_date": date(2020, 1, 2), "to_date": date(2020, 1, 2)}, {2}),
        ({"modalities": ("CR",)}, {3}),
        ({"modalities": ("DX",)}, {1, 2}),
        ({"modalities": ("CR", "DX")}, {1, 2, 3}),
        ({"age_min": 18}, {2, 3}),  # of the third no age is known
        ({"study_instance_uid": str(made(2).StudyInstanceUID)}, {2}),
        ({"limit": 2}, {1, 2}),
    ],
)
def test_filters(service: Service, criteria: dict[str, Any], numbers: set[int]) -> None:
    archive = Archive(
        made(1, StudyDate="20200101", PatientAge="012Y", Modality="DX"),
        made(2, StudyDate="20200102", PatientAge="", PatientBirthDate="19800101", Modality="DX"),
        made(3, StudyDate="20200103", PatientAge="", PatientBirthDate="", Modality="CR"),
    )
    tally, _ = pulled(service, archive, **({"modalities": ("DX", "CR")} | criteria))
    assert received(service) == {made(number).SOPInstanceUID for number in numbers}
    assert tally.exit_status == 0


def test_other_classes_are_not_fetched(service: Service) -> None:
    report = made(1, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33")
    tally, _ = pulled(service, Archive(report, made(2)))
    assert received(service) == {made(2).SOPInstanceUID}
    assert tally.exit_status == 0


@pytest.mark.parametrize("page", [1, 2, 3, 1000])
def test_servers_that_give_few_at_a_time(service: Service, page: int) -> None:
    images = [made(number, StudyInstanceUID="1.2.3") for number in range(3)]
    images += [made(number) for number in range(3, 6)]
    tally, _ = pulled(service, Archive(*images, page=page))
    assert tally.fetched == 6


def test_a_server_that_knows_no_pages_is_not_asked_for_ever(service: Service) -> None:
    archive = Archive(*(made(number) for number in range(250)))

    def answer(asked: Asked) -> Answer:
        asked.path = re.sub(r"limit=\d+&offset=\d+", "limit=1000&offset=0", asked.path)
        return archive(asked)

    tally, _ = pulled(service, answer, limit=1)
    assert tally.fetched == 1
    tally, _ = pulled(service, answer, modalities=("DX",), age_min=200)
    assert tally.fetched == 0


def test_own_results_are_left_out(service: Service, run_jobs: Callable[[Service], int]) -> None:
    pulled(service, Archive(made(1)))
    run_jobs(service)
    (job,) = service.jobs.find()
    assert job.outcome is not None
    assert job.outcome.results is not None
    own = dcmread(service.files.results_path(job.outcome.results) / "sc.dcm")
    own.StudyDate = "20200101"
    tally, _ = pulled(service, Archive(own), modalities=(own.Modality,))
    assert (tally.own, tally.fetched) == (1, 0)
    assert len(service.jobs.find()) == 1


def broken(content: bytes) -> dict[str, tuple[Answer, str]]:
    single = {"Content-Type": "application/dicom"}
    head = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=edge'}
    return {
        "missing": ((404, {}, b""), "pull"),
        "an error": ((500, {}, b""), "pull"),
        "another type": ((200, {"Content-Type": "text/html"}, b"<html>"), "pull"),
        "no boundary": ((200, {"Content-Type": "multipart/related"}, content), "pull"),
        "no part": ((200, head, b"--edge--\r\n"), "pull"),
        "cut off": ((200, head, multipart(content)[2][:5000]), "pull"),
        "noise": ((200, head, bytes(5000)), "pull"),
        "empty": ((200, single, b""), "pull"),
        "no DICOM": (multipart(b"no DICOM at all, but long enough to look"), "truncated"),
        "too large": (multipart(content + bytes(3 << 20)), "pull"),
        "breaks off": (
            (200, single | {"Content-Length": "9999999", "Connection": "close"}, content),
            "destination_unreachable",
        ),
    }


@pytest.mark.parametrize("name", broken(b""))
def test_an_image_that_fails_is_counted_and_the_others_are_fetched(
    settings: Settings, name: str
) -> None:
    small = settings.node.model_copy(update={"max_object_mib": 1})
    service = open_service(settings.model_copy(update={"node": small}))
    archive = Archive(made(1), made(2))
    archive.broken[made(1).SOPInstanceUID], code = broken(content_of(made(1)))[name]
    tally, _ = pulled(service, archive)
    assert received(service) == {made(2).SOPInstanceUID}
    assert tally.failed == {code: 1}
    assert tally.exit_status == 1
    assert not list(service.files.spool.iterdir())
    service.close()


def test_a_single_part_is_taken_as_well(service: Service) -> None:
    archive = Archive(made(1))
    single = (200, {"Content-Type": "application/dicom"}, content_of(made(1)))
    archive.broken[made(1).SOPInstanceUID] = single
    tally, _ = pulled(service, archive)
    assert tally.fetched == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_does_not_allow_it_ends_it(service: Service, status: int) -> None:
    tally, server = pulled(service, lambda asked: (status, {}, b""))
    assert tally.stopped is not None
    assert tally.stopped.code == "destination_not_admitted"
    assert tally.exit_status == 3
    assert len(server.asked) == 1


@pytest.mark.parametrize("answer", [(500, {}, b""), (200, {}, b"<html>"), (200, {}, b"{}")])
def test_a_search_that_fails_ends_it(service: Service, answer: Answer) -> None:
    tally, _ = pulled(service, lambda asked: answer)
    assert tally.stopped is not None
    assert tally.stopped.code == "pull"
    assert tally.exit_status == 3


def test_a_study_that_cannot_be_listed_does_not_stop_the_others(service: Service) -> None:
    archive = Archive(made(1), made(2))
    study = str(made(1).StudyInstanceUID)

    def answer(asked: Asked) -> Answer:
        return (500, {}, b"") if f"/{study}/series" in asked.path else archive(asked)

    tally, _ = pulled(service, answer)
    assert (tally.fetched, tally.failed["pull"], tally.exit_status) == (1, 1, 1)


def test_paths_are_made_of_uids_only(service: Service) -> None:
    entry = {"0020000D": {"vr": "UI", "Value": ["../../admin"]}}
    tally, server = pulled(service, lambda asked: (200, {}, json.dumps([entry]).encode()))
    assert all(asked.path.startswith("/dicom-web/studies?") for asked in server.asked)
    assert tally.exit_status == 0


def test_nobody_there(service: Service) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    tally = pull(service, server_of(url), Criteria())
    assert tally.stopped is not None
    assert tally.stopped.code == "destination_unreachable"
    assert tally.exit_status == 3


@pytest.fixture
def small(settings: Settings) -> Iterator[Service]:
    """No more than two jobs may wait."""
    storage = settings.storage.model_copy(update={"queue_limit": 2})
    opened = open_service(settings.model_copy(update={"storage": storage}))
    yield opened
    opened.close()


def test_a_full_queue_is_waited_for(small: Service, run_jobs: Callable[[Service], int]) -> None:
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.05):
            run_jobs(small)

    worker = threading.Thread(target=work)
    worker.start()
    with web_server(Archive(*(made(number) for number in range(5)))) as server:
        tally = pull(small, server_of(server.url), Criteria())
    ended.set()
    worker.join()
    assert (tally.fetched, tally.exit_status) == (5, 0)


def test_a_queue_that_stays_full_ends_it(small: Service) -> None:
    tally, _ = pulled(small, Archive(*(made(number) for number in range(5))))
    assert tally.fetched == 2
    assert tally.stopped is not None
    assert tally.stopped.code == "busy"
    assert tally.exit_status == 1


def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The command, in this process."""
    for name in ("storage", "model", "destinations"):
        value = getattr(settings, name)
        if name == "destinations":
            found = json.dumps([json.loads(one.model_dump_json()) for one in value])
        else:
            found = value.model_dump_json(exclude_defaults=True)
        monkeypatch.setenv(f"PLEURA_{name.upper()}", found)
    with pytest.raises(SystemExit) as ended:
        main(["pull", *arguments])
    return int(ended.value.code or 0)


def test_the_command(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = Archive(
        made(1, StudyDate="20200101"), made(2, StudyDate="20200105"), made(3, StudyDate="20200109")
    )
    archive.broken[made(2).SOPInstanceUID] = (404, {}, b"")
    with web_server(archive) as server:
        url = server.url
        assert run(settings, monkeypatch, url, "--to-date", "2020-01-01") == 0
        assert capsys.readouterr().out == "1 fetched, 0 known already, 0 failed.\n"
        assert run(settings, monkeypatch, url) == 1
        assert capsys.readouterr().out == "1 fetched, 1 known already, 1 failed (pull 1).\n"
        assert run(settings, monkeypatch, url, "--study", str(made(2).StudyInstanceUID)) == 3
        named = settings.model_copy(update={"destinations": (server_of(url),)})
        assert run(named, monkeypatch, "archive", "--modality", "cr, dx", "--limit", "5") == 1
    for wrong in (["nonsense"], [url, "--study", "1/2"], [url, "--modality", "C/R"]):
        assert run(settings, monkeypatch, *wrong) == 2


def test_messages_name_no_patient(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="pleura")
    archive = Archive(made(1), made(2))
    archive.broken[made(1).SOPInstanceUID] = (404, {}, b"")
    pulled(service, archive)
    own = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("pleura."))
    assert "pulled" in own
    for image in archive.images:
        for secret in (image.SOPInstanceUID, image.StudyInstanceUID, image.PatientID):
            assert str(secret) not in own


def test_login_is_that_of_the_destination(service: Service, tmp_path: Path) -> None:
    archive = Archive(made(1))
    with web_server(archive) as server:
        pull(service, server_of(server.url, token="abc"), Criteria())
    assert {asked.headers.get("authorization") for asked in server.asked} == {"Bearer abc"}
