"""Who may do what: keys, roles, wrong keys, no keys; and what an answer never says."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from api_service import Served, png, served, settings_for

from pleura.service.api.throttle import Throttle
from pleura.service.keys import KeyStore, Role
from pleura.service.settings.api import ApiSettings

JOB = "0" * 32
NEEDED = {
    ("POST", "/v1/predictions"): Role.SUBMIT,
    ("GET", "/v1/jobs"): Role.READ,
    ("GET", "/v1/jobs/{job_id}"): Role.READ,
    ("GET", "/v1/jobs/{job_id}/prediction"): Role.READ,
    ("GET", "/v1/jobs/{job_id}/overlay.png"): Role.READ,
    ("GET", "/v1/jobs/{job_id}/seg.dcm"): Role.READ,
    ("GET", "/v1/jobs/{job_id}/sr.dcm"): Role.READ,
    ("GET", "/v1/jobs/{job_id}/sc.dcm"): Role.READ,
    ("GET", "/v1/jobs/{job_id}/deliveries"): Role.READ,
    ("GET", "/v1/jobs/{job_id}/input"): Role.ADMIN,
    ("POST", "/v1/jobs/{job_id}/requeue"): Role.ADMIN,
    ("GET", "/v1/worklist"): Role.READ,
    ("PUT", "/v1/worklist/{job_id}/rank"): Role.SUBMIT,
    ("DELETE", "/v1/worklist/{job_id}/rank"): Role.SUBMIT,
    ("GET", "/v1/audit"): Role.ADMIN,
    ("GET", "/metrics"): Role.READ,
    ("GET", "/health"): None,
    ("GET", "/ready"): None,
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Served]:
    limits = ApiSettings(port=0, wrong_keys_per_minute=1000)
    settings = settings_for(tmp_path_factory.mktemp("api"), tiny_model, api=limits)
    with served(settings) as running:
        yield running


def asked(client: httpx.Client, method: str, path: str) -> httpx.Response:
    body = {"rank": 1} if method == "PUT" else None
    return client.request(method, path.format(job_id=JOB), json=body)


def test_the_table_of_this_test_has_every_route(api: Served) -> None:
    document = api.client(None).get("/openapi.json").json()
    routes = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert routes == set(NEEDED)


def test_every_route_asks_for_its_role(api: Served) -> None:
    clients = {role: api.client(role) for role in (None, *Role)}
    for (method, path), needed in NEEDED.items():
        for role, client in clients.items():
            status = asked(client, method, path).status_code
            if needed is None or (role is not None and role.covers(needed)):
                assert status not in (401, 403), (method, path, role)
            else:
                assert status == (401 if role is None else 403), (method, path, role)


def test_what_is_no_valid_key_is_401_and_says_how_to_send_one(api: Served) -> None:
    secret = api.secrets[Role.READ]
    client = api.client(None)
    for header in (
        None,
        "",
        "Bearer",
        secret,
        f"Basic {secret}",
        f"Bearer {secret[:-1]}",
        f"Bearer {secret} {secret}",
        f"Bearer pleura_{'A' * 43}",
        "Bearer ' OR 1=1 --",
        "Bearer " + "x" * 8000,
    ):
        headers = {} if header is None else {"authorization": header}
        response = client.get("/v1/jobs", headers=headers)
        assert response.status_code == 401, header
        assert response.headers["www-authenticate"] == "Bearer"
        assert "Authorization: Bearer" in response.json()["error"]["hint"]


def test_a_revoked_key_opens_nothing_more(api: Served) -> None:
    store = KeyStore(api.service.engine)
    secret = store.make("leaving", Role.ADMIN)
    client = api.client(None)
    headers = {"authorization": f"Bearer {secret}"}
    assert client.get("/v1/jobs", headers=headers).status_code == 200
    store.revoke("leaving")
    assert client.get("/v1/jobs", headers=headers).status_code == 401


def test_without_any_key_made_the_hint_says_how_to_make_one(
    tmp_path: Path, tiny_model: Path
) -> None:
    with served(settings_for(tmp_path, tiny_model)) as api:
        for role in Role:
            KeyStore(api.service.engine).revoke(role.value)
        response = api.client(Role.ADMIN).get("/v1/jobs")
        assert response.status_code == 401
        assert "pleura keys make" in response.json()["error"]["hint"]
        assert api.client(None).get("/health").status_code == 200


def test_wrong_keys_are_limited_and_a_valid_one_is_served_all_the_same(
    tmp_path: Path, tiny_model: Path
) -> None:
    limits = ApiSettings(port=0, wrong_keys_per_minute=5)
    with served(settings_for(tmp_path, tiny_model, api=limits)) as api:
        client = api.client(None)
        headers = {"authorization": f"Bearer pleura_{'A' * 43}"}
        statuses = [client.get("/v1/jobs", headers=headers).status_code for _ in range(12)]
        assert statuses[:5] == [401] * 5
        assert statuses[-1] == 429  # one token may have flowed in between
        assert client.get("/v1/jobs", headers=headers).headers["retry-after"]
        assert api.client(Role.READ).get("/v1/jobs").status_code == 200
        # Beyond the limit, nothing is written to the audit log.
        lines = api.client().get("/v1/audit", params={"actor": "-"}).json()["lines"]
        assert 5 <= len(lines) == statuses.count(401)


def test_tokens_come_back_with_time_and_addresses_do_not_share_them() -> None:
    now = 0.0
    throttle = Throttle(per_minute=6, clock=lambda: now)
    assert [throttle.take("a") for _ in range(8)] == [True] * 6 + [False] * 2
    assert throttle.take("b")
    now = 10.0  # a sixth of a minute: one token
    assert [throttle.take("a") for _ in range(2)] == [True, False]
    now = 1e6
    assert [throttle.take("a") for _ in range(7)] == [True] * 6 + [False]


def test_the_throttle_forgets_the_oldest_address_and_stays_small() -> None:
    throttle = Throttle(per_minute=1, clock=lambda: 0.0)
    assert throttle.take("first")
    assert not throttle.take("first")
    for number in range(10_000):
        throttle.take(str(number))
    assert len(throttle._buckets) == 10_000
    assert throttle.take("first")


def test_without_keys_only_programs_on_this_machine_are_served(
    tmp_path: Path, tiny_model: Path
) -> None:
    """A page in a browser comes with an Origin, or under a name that was made to lead here."""
    limits = ApiSettings(port=0, require_keys=False)
    with served(settings_for(tmp_path, tiny_model, api=limits)) as api:
        client = api.client(None)
        assert client.get("/v1/jobs").status_code == 200
        assert client.post("/v1/predictions", content=png(1)).status_code == 202
        (line, *_) = client.get("/v1/audit").json()["lines"]
        assert line["actor"] == "anybody"
        for headers in (
            {"origin": "http://evil.example"},
            {"host": "evil.example"},
            {"host": "evil.example:80"},
            {"host": "127.0.0.1.evil.example"},
        ):
            assert client.get("/v1/jobs", headers=headers).status_code == 403, headers


def test_keys_cannot_be_switched_off_for_a_network() -> None:
    with pytest.raises(ValueError, match="loopback"):
        ApiSettings(host="0.0.0.0", require_keys=False)
    for host in ("localhost", "127.0.0.1", "127.8.9.1", "::1"):
        assert not ApiSettings(host=host, require_keys=False).require_keys


def test_metrics_can_be_opened(tmp_path: Path, tiny_model: Path) -> None:
    limits = ApiSettings(port=0, open_metrics=True)
    with served(settings_for(tmp_path, tiny_model, api=limits)) as api:
        assert api.client(None).get("/metrics").status_code == 200


def test_every_answer_has_the_headers_of_safety_and_no_foreign_origin_is_let_in(
    api: Served,
) -> None:
    client = api.client()
    origin = {"origin": "http://evil.example", "access-control-request-method": "GET"}
    for response in (
        client.get("/health"),
        client.get("/v1/jobs", headers=origin),
        client.get("/nowhere"),
        client.request("OPTIONS", "/v1/jobs", headers=origin),
        api.client(None).get("/v1/jobs"),
    ):
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert response.headers["pleura-notice"] == "Research software, not a medical device."
        assert not any(name.startswith("access-control-") for name in response.headers)
        assert "server" not in response.headers


def test_no_error_repeats_what_was_sent(api: Served) -> None:
    canary = "DOE^JANE-19700101"
    client = api.client()
    answers = [
        client.get(f"/{canary}"),
        client.get(f"/v1/jobs/{canary}"),
        client.get("/v1/jobs", params={"state": canary}),
        client.get("/v1/jobs", params={"limit": canary}),
        client.get("/v1/jobs", params={"after": canary}),
        client.get("/v1/jobs", params={"source": canary * 20}),
        client.get("/v1/worklist", params={"since": canary}),
        client.get("/v1/audit", params={"before": canary}),
        client.put(f"/v1/worklist/{JOB}/rank", json={"rank": canary}),
        client.put(f"/v1/worklist/{JOB}/rank", json={canary: 1}),
        client.put(f"/v1/worklist/{JOB}/rank", content=f'{{"{canary}'.encode()),
        client.put(f"/v1/worklist/{JOB}/rank", json=canary),
        client.post("/v1/predictions", params={"wait": canary}, content=b"x"),
        client.post("/v1/predictions", content=b"x", headers={"content-type": f"text/{canary}"}),
        client.post(
            "/v1/predictions",
            content=canary.encode(),
            headers={"content-type": "multipart/form-data; boundary=x"},
        ),
        client.request(f"M{re.sub('[^A-Z]', '', canary)}", "/v1/jobs"),
        api.client(None).get("/v1/jobs", headers={"authorization": f"Bearer {canary}"}),
    ]
    for response in answers:
        assert 400 <= response.status_code < 500
        assert set(response.json()["error"]) == {"code", "message", "hint"}
        sent = itertools.chain(response.headers.values(), [response.text])
        assert not any("DOE" in text or "JANE" in text for text in sent), response.text
