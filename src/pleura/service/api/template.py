"""What a request is called where nothing may be told that was sent."""

from starlette.types import Scope

UNMATCHED = "unmatched"


def template_of(scope: Scope) -> str:
    """The template of the route, as `/v1/jobs/{job_id}`; `unmatched` where there is no route."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else UNMATCHED
