"""The API against its own OpenAPI document, by schemathesis: valid, invalid and missing input.

Every operation is called with generated parameters and bodies, in schemathesis' four phases, one
of which chains calls. All its checks are on: no status 5xx; every status, content type, header and
body is one that the document has; what the document forbids is refused, and what it allows is not;
methods that a path has not are refused with those that it has; without a key, or with a wrong one,
nothing is shown.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from api_service import png, run_all, served, settings_for
from service_images import image

from pleura.service.keys import Role
from pleura.service.presence import Presence
from pleura.service.settings.api import ApiSettings

SEED = 7
EXAMPLES = 8


def test_the_api_keeps_to_its_document(tmp_path: Path, tiny_model: Path) -> None:
    pytest.importorskip("schemathesis")
    limits = ApiSettings(port=0, wrong_keys_per_minute=100_000, wait_seconds=0.05)
    with served(settings_for(tmp_path, tiny_model, api=limits)) as api:
        files = [("f", ("a.dcm", image(1))), ("f", ("b.png", png(1)))]
        api.client(Role.SUBMIT).post("/v1/predictions", files=files)
        run_all(api.service)
        Presence(api.service.engine).beat("worker", api.service.recipe)  # or /ready says 503
        run = subprocess.run(
            [
                str(Path(sys.executable).with_name("schemathesis")),
                "run",
                f"{api.url}/openapi.json",
                *("-H", f"Authorization: Bearer {api.secrets[Role.ADMIN]}"),
                *("--max-examples", str(EXAMPLES)),
                *("--seed", str(SEED)),
                *("--suppress-health-check", "all"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=280,
        )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    # It did run, on all that there is.
    assert "18 selected / 18 total" in run.stdout
    cases = re.search(r"(\d+) generated", run.stdout)
    assert cases is not None
    assert int(cases[1]) > 300
