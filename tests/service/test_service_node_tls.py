"""TLS on both sides: with the right certificates it works, without it does not."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dicom_peer import RawPeer, associated, echo_works, node_settings, requested, tool
from service_certificates import Certificate, Certificates, make_certificates
from service_images import dataset, image
from service_tools import until

from pleura.service.delivery.dicom import DicomSender
from pleura.service.errors import SettingsError, UnreachableError
from pleura.service.node import Node
from pleura.service.settings.destinations import DicomDestination
from pleura.service.settings.tls import ClientTls, ServerTls
from pleura.service.wiring import Service


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def node(service: Service, certificates: Certificates) -> Iterator[Node]:
    """Asks for certificates."""
    with secured(service, certificates) as started:
        yield started


def secured(service: Service, certificates: Certificates, host: str = "127.0.0.1") -> Node:
    server = certificates.server
    tls = ServerTls(certificate=server.certificate, key=server.key, ca=certificates.ca)
    settings = node_settings(host=host, tls=tls, association_seconds=1, grace_seconds=0)
    return Node(settings, service.intake)


def shown(certificates: Certificates, own: Certificate | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificates.ca)
    if own is not None:
        context.load_cert_chain(own.certificate, own.key)
    return context


def test_dcmtk_sends_with_its_certificate(
    node: Node, service: Service, certificates: Certificates, tmp_path: Path
) -> None:
    path = tmp_path / "sent.dcm"
    path.write_bytes(image(1))
    own = certificates.client
    options = ("+tls", own.key, own.certificate, "+cf", certificates.ca)
    sent = tool("storescu", *options, "-aec", "PLEURA", "localhost", node.port, path)
    assert sent.returncode == 0, sent.stderr
    assert len(service.jobs.find()) == 1


@pytest.mark.parametrize("whose", ["nobody", "stranger"])
def test_who_shows_no_certificate_of_the_authority_is_cut_off(
    node: Node, service: Service, certificates: Certificates, whose: str
) -> None:
    own = certificates.stranger if whose == "stranger" else None
    context = shown(certificates, own)
    association = requested(node.port, tls_args=(context, "localhost"))
    assert not association.is_established
    context = shown(certificates, certificates.client)
    with associated(node.port, tls_args=(context, "localhost")) as peer:
        assert peer.send_c_store(dataset(1)).Status == 0


def test_old_versions_are_not_spoken(node: Node, certificates: Certificates) -> None:
    context = shown(certificates, certificates.client)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    assert not requested(node.port, tls_args=(context, "localhost")).is_established


def test_without_tls_there_is_no_association(node: Node) -> None:
    assert not echo_works(node.port)


def test_a_handshake_that_does_not_go_on_keeps_nobody_waiting(
    node: Node, certificates: Certificates
) -> None:
    context = shown(certificates, certificates.client)
    with RawPeer(node.port) as silent, RawPeer(node.port) as half:
        half.send(bytes.fromhex("16030100c801"))
        with associated(node.port, tls_args=(context, "localhost")) as peer:
            assert peer.send_c_store(dataset(1)).Status == 0
        assert until(lambda: silent.closed() and half.closed())


def test_results_are_delivered_with_certificates(
    node: Node, service: Service, certificates: Certificates, run_jobs: Callable[[Service], int]
) -> None:
    """The node stands for a PACS here: of what is delivered it takes the Secondary Capture."""
    tls = ClientTls(
        ca=certificates.ca, certificate=certificates.client.certificate, key=certificates.client.key
    )
    assert delivered(node, service, run_jobs, tls)


def test_results_are_not_delivered_to_a_server_that_nobody_vouches_for(
    node: Node, service: Service, certificates: Certificates, run_jobs: Callable[[Service], int]
) -> None:
    own = certificates.client
    for ca in (certificates.stranger.certificate, None):
        tls = ClientTls(ca=ca, certificate=own.certificate, key=own.key)
        with pytest.raises(UnreachableError):
            delivered(node, service, run_jobs, tls)


def test_the_name_in_the_certificate_counts_unless_it_shall_not(
    service: Service, certificates: Certificates, run_jobs: Callable[[Service], int]
) -> None:
    own, other_host = certificates.client, "127.0.0.2"
    tls = ClientTls(ca=certificates.ca, certificate=own.certificate, key=own.key)
    with secured(service, certificates, other_host) as node:
        with pytest.raises(UnreachableError):
            delivered(node, service, run_jobs, tls, other_host)
        tls = tls.model_copy(update={"check_name": False})
        assert delivered(node, service, run_jobs, tls, other_host)


def delivered(
    node: Node,
    service: Service,
    run_jobs: Callable[[Service], int],
    tls: ClientTls,
    host: str = "127.0.0.1",
) -> bool:
    with service.intake.open() as spooled:
        spooled.write(image(1))
        service.intake.take(spooled, name="", source="test")
    run_jobs(service)
    (job,) = service.jobs.find()
    assert job.outcome is not None
    assert job.outcome.results is not None
    destination = DicomDestination(
        name="pacs", kind="dicom", host=host, port=node.port, ae_title="PLEURA", tls=tls
    )
    sender = DicomSender(destination)
    sender.send([service.files.results_path(job.outcome.results) / "sc.dcm"])
    sender.close()
    return True


def test_a_key_that_belongs_to_another_certificate_is_said_at_once(
    service: Service, certificates: Certificates
) -> None:
    wrong = ServerTls(certificate=certificates.server.certificate, key=certificates.client.key)
    with pytest.raises(SettingsError, match="cannot be used"):
        Node(node_settings(tls=wrong), service.intake)
    missing = ServerTls(certificate=Path("nowhere.pem"), key=certificates.client.key)
    with pytest.raises(SettingsError, match="cannot be used"):
        Node(node_settings(tls=missing), service.intake)
