"""The node takes what it should, answers what it should not, and keeps what it acknowledges."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pydicom
import pytest
from dicom_peer import (
    CR,
    CT,
    DX,
    ECHO,
    SC,
    SEG,
    SR,
    RawPeer,
    associated,
    c_store_rq,
    echo_works,
    encoded,
    files_of,
    node_settings,
    p_data,
    requested,
    store_bytes,
    tool,
)
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from service_images import dataset, image
from service_postgres import Cluster
from service_tools import until

from pleura.service.node import Node
from pleura.service.node.contexts import IMAGES, TRANSFER_SYNTAXES
from pleura.service.settings import Settings
from pleura.service.settings.node import Peer
from pleura.service.store import State
from pleura.service.wiring import Service, open_service

SUCCESS, OUT_OF_RESOURCES, TOO_LARGE = 0x0000, 0xA700, 0xA701
ANOTHER_CLASS, NOT_UNDERSTOOD, NOT_SUPPORTED = 0xA900, 0xC000, 0x0122


@pytest.fixture
def start(service: Service) -> Iterator[Callable[..., Node]]:
    """Starts nodes with changed settings; they are stopped at the end."""
    with ExitStack() as stack:

        def begin(of: Service = service, **changed: Any) -> Node:
            changed.setdefault("grace_seconds", 0)
            return stack.enter_context(Node(node_settings(**changed), of.intake))

        yield begin


def write(folder: Path, *numbers: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.dcm" for number in numbers]
    for path, number in zip(paths, numbers, strict=True):
        path.write_bytes(image(number))
    return paths


def stored(service: Service) -> list[pydicom.FileDataset]:
    return [
        pydicom.dcmread(service.files.input_path(job.received.sha256))
        for job in reversed(service.jobs.find())
    ]


def kept(service: Service) -> list[Path]:
    return files_of(service.files.folder / "inputs")


def test_dcmtk_s_echo_is_answered(start: Callable[..., Node]) -> None:
    answer = tool("echoscu", "-aec", "PLEURA", "127.0.0.1", start().port)
    assert answer.returncode == 0, answer.stderr


def test_what_dcmtk_sends_becomes_jobs_with_the_image_as_it_was(
    start: Callable[..., Node], service: Service, tmp_path: Path
) -> None:
    paths = write(tmp_path / "sent", 1, 2)
    sent = tool("storescu", "-aet", "XRAY", "-aec", "PLEURA", "127.0.0.1", start().port, *paths)
    assert sent.returncode == 0, sent.stderr
    assert stored(service) == [dataset(1), dataset(2)]
    for job, made in zip(reversed(service.jobs.find()), (dataset(1), dataset(2)), strict=True):
        assert job.state is State.RECEIVED
        assert job.received.source == "dicom:XRAY"
        assert job.received.sop_instance_uid == made.SOPInstanceUID
        assert job.received.study_instance_uid == made.StudyInstanceUID
    assert not files_of(service.files.spool)


def test_the_file_is_whole_for_other_programs(
    start: Callable[..., Node], service: Service, tmp_path: Path
) -> None:
    tool("storescu", "-aec", "PLEURA", "127.0.0.1", start().port, *write(tmp_path / "sent", 1))
    (job,) = service.jobs.find()
    dump = tool("dcmdump", "+M", service.files.input_path(job.received.sha256))
    assert dump.returncode == 0
    assert not dump.stderr


def test_an_image_that_comes_again_is_the_same_job_whoever_sends_it(
    start: Callable[..., Node], service: Service
) -> None:
    port = start().port
    for calling in ("ONE", "TWO", "ONE"):
        with associated(port, calling=calling) as association:
            assert association.send_c_store(dataset(1)).Status == SUCCESS
    assert len(service.jobs.find()) == 1
    assert len(kept(service)) == 1


def test_every_class_is_negotiated_in_every_syntax(start: Callable[..., Node]) -> None:
    port = start().port
    for sop_class in IMAGES:
        with associated(port, *((sop_class, syntax) for syntax in TRANSFER_SYNTAXES)) as peer:
            agreed = {context.transfer_syntax[0] for context in peer.accepted_contexts}
            assert agreed == set(TRANSFER_SYNTAXES), sop_class


def test_every_syntax_arrives_unchanged(
    start: Callable[..., Node], service: Service, tmp_path: Path
) -> None:
    """The node does not look at pixels: those of compressed syntaxes are made up."""
    sent = {}
    for number, syntax in enumerate(TRANSFER_SYNTAXES):
        made = dataset(number)
        made.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        if made.file_meta.TransferSyntaxUID.is_encapsulated:
            made.PixelData = encapsulate([bytes(1000)])
            made["PixelData"].VR = "OB"
            made["PixelData"].is_undefined_length = True
        path = tmp_path / f"{number}.dcm"
        pydicom.dcmwrite(path, made, enforce_file_format=True)
        sent[syntax] = path
    with associated(start().port, *((DX, syntax) for syntax in TRANSFER_SYNTAXES)) as peer:
        for syntax, path in sent.items():
            assert peer.send_c_store(path).Status == SUCCESS, syntax
    assert len(service.jobs.find()) == len(sent)
    for found in stored(service):
        path = sent[found.file_meta.TransferSyntaxUID]
        assert data_set_of(files_with(service, found)) == data_set_of(path.read_bytes())


def files_with(service: Service, found: pydicom.FileDataset) -> bytes:
    return Path(str(found.filename)).read_bytes()


def data_set_of(content: bytes) -> bytes:
    return content[144 + int.from_bytes(content[140:144], "little") :]


DCMTK = {
    "implicit": ("storescu", "-xi"),
    "big endian": ("storescu", "-xb"),
    "deflated": ("storescu", "-xd"),
    "JPEG lossless": ("dcmcjpeg", "+e1", "-xs"),
    "JPEG baseline": ("dcmcjpeg", "+eb", "-xy"),
    "JPEG-LS": ("dcmcjpls", "+el", "-xt"),
    "RLE": ("dcmcrle", None, "-xr"),
}


def test_what_dcmtk_compresses_is_judged(
    start: Callable[..., Node],
    settings: Settings,
    tmp_path: Path,
    run_jobs: Callable[[Service], int],
) -> None:
    worker = settings.worker.model_copy(update={"formats": ()})
    service = open_service(settings.model_copy(update={"worker": worker}))
    port = start(service).port
    (plain,) = write(tmp_path / "sent", 1)
    for name, (program, *options) in DCMTK.items():
        path = plain
        if program != "storescu":
            path = tmp_path / f"{name}.dcm"
            made = tool(program, *filter(None, options[:1]), plain, path)
            assert made.returncode == 0, made.stderr
        sent = tool("storescu", "-R", options[-1], "-aec", "PLEURA", "127.0.0.1", port, path)
        assert sent.returncode == 0, f"{name}: {sent.stderr}"
    assert run_jobs(service) == len(DCMTK)
    assert service.jobs.counts()[State.DONE] == len(DCMTK)
    service.close()


@pytest.mark.parametrize("sop_class", [CT, SEG, SR])
def test_other_classes_are_not_accepted(start: Callable[..., Node], sop_class: str) -> None:
    with associated(
        start().port, (sop_class, ExplicitVRLittleEndian), (ECHO, ExplicitVRLittleEndian)
    ) as peer:
        (rejected,) = peer.rejected_contexts
        assert rejected.result == 3  # abstract syntax not supported


def test_video_is_not_accepted(start: Callable[..., Node]) -> None:
    video = "1.2.840.10008.1.2.4.100"
    with associated(start().port, (DX, video), (ECHO, ExplicitVRLittleEndian)) as peer:
        (rejected,) = peer.rejected_contexts
        assert rejected.result == 4  # transfer syntaxes not supported


KNOWN = (
    Peer(ae_title="XRAY", address="127.0.0.1"),
    Peer(ae_title="ROOM2", address="127.0.0.0/30"),
    Peer(ae_title="FAR", address="10.1.0.0/16"),
    Peer(ae_title="ANYWHERE"),
)


@pytest.mark.parametrize("calling", ["XRAY", "ROOM2", "ANYWHERE"])
@pytest.mark.parametrize("called", ["PLEURA", "PLEURA2"])
def test_peers_that_are_set_are_accepted(
    start: Callable[..., Node], called: str, calling: str
) -> None:
    node = start(peers=KNOWN, ae_titles=("PLEURA", "PLEURA2"))
    with associated(node.port, called=called, calling=calling):
        pass


@pytest.mark.parametrize(
    ("called", "calling", "reason"),
    [
        ("OTHER", "XRAY", 7),  # called AE title not recognised
        ("PLEURA", "STRANGER", 3),  # calling AE title not recognised
        ("PLEURA", "FAR", 3),
    ],
)
def test_others_are_rejected_with_the_reason(
    start: Callable[..., Node], called: str, calling: str, reason: int
) -> None:
    association = requested(start(peers=KNOWN).port, called=called, calling=calling)
    assert association.is_rejected
    answer = association.acceptor.primitive
    assert answer is not None
    assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, reason)


def test_nobody_is_accepted_where_no_peer_is_set(start: Callable[..., Node]) -> None:
    assert requested(start(peers=()).port).is_rejected


def test_associations_beyond_the_limit_are_rejected_for_now(start: Callable[..., Node]) -> None:
    port = start(max_associations=2).port
    with associated(port), associated(port):
        association = requested(port)
        assert association.is_rejected
        answer = association.acceptor.primitive
        assert answer is not None
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
    assert until(lambda: echo_works(port))


def test_a_class_that_is_not_the_context_s_is_not_supported(
    start: Callable[..., Node], service: Service
) -> None:
    with associated(start().port) as peer:
        for sop_class in (CT, CR):
            answer = store_bytes(peer, encoded(dataset(1)), sop_class=sop_class)
            assert answer.Status == NOT_SUPPORTED
    assert not service.jobs.find()


def test_a_data_set_of_another_class_is_an_error(
    start: Callable[..., Node], service: Service
) -> None:
    other = dataset(1)
    other.SOPClassUID = CT
    with associated(start().port) as peer:
        assert store_bytes(peer, encoded(other)).Status == ANOTHER_CLASS
    assert not service.jobs.find()
    assert not files_of(service.files.spool)


@pytest.mark.parametrize("content", [b"no data set at all, not even nearly", None])
def test_what_cannot_be_read_is_not_understood_and_leaves_nothing(
    start: Callable[..., Node], service: Service, content: bytes | None
) -> None:
    with associated(start().port) as peer:
        assert store_bytes(peer, content).Status == NOT_UNDERSTOOD
        assert peer.send_c_store(dataset(1)).Status == SUCCESS
    assert len(service.jobs.find()) == 1
    assert not files_of(service.files.spool)


def test_what_does_not_fit_is_taken_and_refused_by_the_judge(
    start: Callable[..., Node], service: Service, run_jobs: Callable[[Service], int]
) -> None:
    slice_as_capture = dataset(1)
    slice_as_capture.SOPClassUID = SC
    slice_as_capture.Modality = "CT"
    cut_off = encoded(dataset(2))[:-500]
    with associated(start().port, (SC, ExplicitVRLittleEndian)) as peer:
        assert store_bytes(peer, encoded(slice_as_capture), sop_class=SC).Status == SUCCESS
    with associated(start().port) as peer:
        assert store_bytes(peer, cut_off).Status == SUCCESS
    run_jobs(service)
    codes = {job.failure.code for job in service.jobs.find() if job.failure is not None}
    assert codes == {"not_projection_radiograph", "truncated"}
    assert service.jobs.counts()[State.REFUSED] == 2


def test_uids_that_are_none_do_not_enter_the_store(
    start: Callable[..., Node], service: Service
) -> None:
    odd = dataset(1)
    content = encoded(odd).replace(
        odd.StudyInstanceUID.encode(), b"no uid".ljust(len(odd.StudyInstanceUID))
    )
    with associated(start().port) as peer:
        assert store_bytes(peer, content).Status == SUCCESS
    (job,) = service.jobs.find()
    assert job.received.study_instance_uid == ""
    assert job.received.sop_instance_uid == odd.SOPInstanceUID


def test_own_results_that_come_back_are_acknowledged_and_not_judged(
    start: Callable[..., Node], service: Service, run_jobs: Callable[[Service], int]
) -> None:
    port = start().port
    with associated(port) as peer:
        peer.send_c_store(dataset(1))
    run_jobs(service)
    (job,) = service.jobs.find()
    assert job.outcome is not None
    assert job.outcome.results is not None
    result = service.files.results_path(job.outcome.results) / "sc.dcm"
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        with associated(port, (SC, syntax)) as peer:
            assert peer.send_c_store(pydicom.dcmread(result)).Status == SUCCESS
    assert service.jobs.find() == [job]
    assert len(kept(service)) == 1
    assert not files_of(service.files.spool)


def changed(settings: Settings, **storage: Any) -> Settings:
    return settings.model_copy(update={"storage": settings.storage.model_copy(update=storage)})


def test_a_disk_that_is_nearly_full_refuses_and_leaves_nothing(
    start: Callable[..., Node], settings: Settings
) -> None:
    full = open_service(changed(settings, reserve_gib=1e6))
    with associated(start(full).port) as peer:
        for number in (1, 2):
            answer = peer.send_c_store(dataset(number))
            assert (answer.Status, answer.ErrorComment) == (OUT_OF_RESOURCES, "busy")
    assert not full.jobs.find()
    assert not kept(full)
    assert not files_of(full.files.spool)
    full.close()


def test_a_full_queue_refuses_until_there_is_room(
    start: Callable[..., Node], settings: Settings, run_jobs: Callable[[Service], int]
) -> None:
    small = open_service(changed(settings, queue_limit=1))
    with associated(start(small).port) as peer:
        assert peer.send_c_store(dataset(1)).Status == SUCCESS
        assert peer.send_c_store(dataset(2)).Status == OUT_OF_RESOURCES
        assert len(kept(small)) == 1
        run_jobs(small)
        assert peer.send_c_store(dataset(2)).Status == SUCCESS
    small.close()


def test_a_database_that_is_away_refuses_until_it_is_back(
    start: Callable[..., Node], settings: Settings, postgres: Cluster
) -> None:
    shared = open_service(changed(settings, database_url=postgres.new_database("node_away")))
    with associated(start(shared).port) as peer:
        assert peer.send_c_store(dataset(1)).Status == SUCCESS
        postgres.stop()
        try:
            answer = peer.send_c_store(dataset(2))
            assert (answer.Status, answer.ErrorComment) == (OUT_OF_RESOURCES, "store_unavailable")
        finally:
            postgres.start()
        assert peer.send_c_store(dataset(2)).Status == SUCCESS
    assert len(shared.jobs.find()) == 2
    shared.close()


def test_an_object_beyond_the_limit_is_refused_and_the_next_one_taken(
    start: Callable[..., Node], service: Service
) -> None:
    large = dataset(1)
    large.PixelData = bytes(3 << 20)
    with associated(start(max_object_mib=1).port) as peer:
        answer = peer.send_c_store(large)
        assert (answer.Status, answer.ErrorComment) == (TOO_LARGE, "too_large")
        assert peer.send_c_store(dataset(2)).Status == SUCCESS
    (job,) = service.jobs.find()
    assert job.received.sop_instance_uid == dataset(2).SOPInstanceUID
    assert not files_of(service.files.spool)


def test_a_slow_sender_keeps_nobody_waiting(start: Callable[..., Node], service: Service) -> None:
    port = start().port
    content = encoded(dataset(1))
    with RawPeer(port) as slow:
        slow.associate()
        slow.send(p_data(c_store_rq(instance=dataset(1).SOPInstanceUID), 3))
        slow.send(p_data(content[:1000], 0))
        with associated(port) as peer:
            assert peer.send_c_store(dataset(2)).Status == SUCCESS
        for at in range(1000, len(content), 16000):
            slow.send(p_data(content[at : at + 16000], 2 if at + 16000 >= len(content) else 0))
        kind, _ = slow.receive()
        assert kind == 4
    assert len(service.jobs.find()) == 2


def test_objects_in_hand_are_finished_when_the_node_stops(service: Service) -> None:
    node = Node(node_settings(grace_seconds=20), service.intake)
    node.start()
    content = encoded(dataset(1))
    with RawPeer(node.port) as peer, RawPeer(node.port) as silent:
        silent.associate()
        peer.associate()
        peer.send(p_data(c_store_rq(instance=dataset(1).SOPInstanceUID), 3))
        peer.send(p_data(content[:5000], 0))
        until(lambda: files_of(service.files.spool))
        ending = threading.Thread(target=node.stop)
        ending.start()
        assert silent.closed()  # between two objects there is nothing to wait for
        for at in range(5000, len(content), 16000):
            peer.send(p_data(content[at : at + 16000], 2 if at + 16000 >= len(content) else 0))
        kind, _ = peer.receive()
        assert kind == 4
        ending.join(20)
        assert not ending.is_alive()
        with pytest.raises(OSError, match="refused"):
            RawPeer(node.port)
    assert len(service.jobs.find()) == 1


def test_objects_that_are_not_finished_in_time_are_given_up(service: Service) -> None:
    node = Node(node_settings(grace_seconds=0.1), service.intake)
    node.start()
    with RawPeer(node.port) as peer:
        peer.associate()
        peer.send(p_data(c_store_rq(), 3) + p_data(bytes(1000), 0))
        until(lambda: files_of(service.files.spool))
        began = time.monotonic()
        node.stop()
        assert time.monotonic() - began < 5
        assert peer.closed()
    assert until(lambda: not files_of(service.files.spool))
    assert not service.jobs.find()


def test_logs_name_no_patient(
    start: Callable[..., Node], service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="pleura")
    named = dataset(1)
    with associated(start().port) as peer:
        peer.send_c_store(named)
        store_bytes(peer, encoded(named)[:60])
    lines = "\n".join(record.getMessage() for record in caplog.records if record.name != "root")
    own = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("pleura."))
    assert "received from MODALITY" in lines
    for secret in (named.PatientID, str(named.PatientName), named.SOPInstanceUID):
        assert str(secret) not in own
