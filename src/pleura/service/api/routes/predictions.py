"""Uploads: one image, many in a form, or an archive of them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from pleura.service.api.access import Submitter
from pleura.service.api.arrivals import Arrivals
from pleura.service.api.audited import touch
from pleura.service.api.bodies import FORM, RAW, Body, body_of
from pleura.service.api.context import Context, Here
from pleura.service.api.errors import RETRY_SECONDS
from pleura.service.api.examples import DONE_ITEM, REJECTED_ITEM, WAITING_ITEM, example
from pleura.service.api.responses import OF_UPLOAD, problems
from pleura.service.api.taking import Taken, Taker
from pleura.service.api.views import UploadAnswer, rejected_item, upload_item
from pleura.service.errors import BusyError
from pleura.service.store import FINISHED, Job

router = APIRouter(prefix="/v1/predictions", tags=["predictions"])

_PIECE = 1 << 20
_FIRST_LOOK, _LAST_LOOK = 0.02, 0.25
_BINARY = {"schema": {"type": "string", "format": "binary", "minLength": 1}}
_FILES = {
    "type": "object",
    "properties": {
        "files": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "minItems": 1,
        }
    },
    "required": ["files"],
}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "The bytes of a DICOM, PNG, JPEG or TIFF file, or of a zip archive of them;"
        " or a form, each part of which with a file name is such a file.",
        "content": {**dict.fromkeys(RAW, _BINARY), FORM: {"schema": _FILES}},
    }
}
_RETRY = {
    "headers": {
        "Retry-After": {
            "description": "Seconds after which to look again.",
            "schema": {"type": "integer"},
        }
    }
}


@router.post(
    "",
    summary="Judge images",
    response_model=UploadAnswer,
    openapi_extra=_BODY,
    responses={
        200: {
            "description": "Every image has come to its end.",
            **example({"items": [DONE_ITEM, REJECTED_ITEM]}),
        },
        202: {
            "model": UploadAnswer,
            "description": "Taken, and safe on the disk; some are still to be judged.",
            **_RETRY,
            **example({"items": [WAITING_ITEM, REJECTED_ITEM]}),
        },
        **problems(*OF_UPLOAD),
    },
)
async def post_predictions(
    request: Request,
    here: Here,
    caller: Submitter,
    wait: Annotated[
        float,
        Query(
            ge=0,
            le=3600,
            description="Seconds to wait for the results, at most `api.wait_seconds`.",
        ),
    ] = 0,
) -> JSONResponse:
    """Take images, and answer with their results or with links to them.

    One item for each image in the order sent; members of an archive stand in its place, and an
    archive inside an archive is not opened. An image that cannot be taken has its error in its
    item and stops no other one. The same image again is answered with the earlier result.

    An answer of 4xx means that nothing was taken.
    """
    deadline = time.monotonic() + min(wait, here.settings.wait_seconds)
    async with _place(here):
        taken = await _taken(request, here, f"api:{caller.name}")
    jobs = [one.job.id for one in taken if one.job is not None]
    touch(request.scope["state"], jobs)
    await _settled(request, here, jobs, deadline)
    items, settled = await to_thread.run_sync(_items, here, taken)
    if settled:
        return JSONResponse({"items": items})
    return JSONResponse({"items": items}, 202, headers={"retry-after": str(RETRY_SECONDS)})


@asynccontextmanager
async def _place(here: Context) -> AsyncIterator[None]:
    """One of the uploads that may arrive at the same time.

    Raises:
        BusyError: there are as many as may be.
    """
    if here.uploads >= here.settings.uploads:
        raise BusyError("As many uploads are arriving as may be.")
    here.uploads += 1
    try:
        yield
    finally:
        here.uploads -= 1


async def _taken(request: Request, here: Context, source: str) -> list[Taken]:
    intake = here.service.intake
    with Arrivals(intake, here.settings) as arrivals:
        body = body_of(request.headers.get("content-type"), arrivals)
        await _arrived(request, body)
        taker = Taker(intake, here.settings, source)
        return await to_thread.run_sync(taker.take, arrivals, limiter=here.taking)


async def _arrived(request: Request, body: Body) -> None:
    """Feed a body as it arrives, a megabyte at a time, from a thread that may write to the disk."""
    pending = bytearray()
    async for piece in request.stream():
        pending += piece
        if len(pending) >= _PIECE:
            await to_thread.run_sync(body.feed, bytes(pending))
            pending.clear()
    await to_thread.run_sync(body.feed, bytes(pending))
    await to_thread.run_sync(body.end)


async def _settled(request: Request, here: Context, jobs: list[str], deadline: float) -> None:
    """Wait until all jobs have come to their end, or the deadline, or the caller or we leave."""
    waiting, pause = list(reversed(jobs)), _FIRST_LOOK
    while waiting and time.monotonic() < deadline and not here.stopping():
        job = await to_thread.run_sync(here.service.jobs.get, waiting[-1])
        if job.state in FINISHED:
            waiting.pop()
            continue
        if await request.is_disconnected():
            return
        await anyio.sleep(min(pause, max(deadline - time.monotonic(), 0)))
        pause = min(pause * 1.3, _LAST_LOOK)


def _items(here: Context, taken: list[Taken]) -> tuple[list[dict[str, Any]], bool]:
    """The items of the answer, and whether all have come to their end."""
    items, settled = [], True
    for index, one in enumerate(taken):
        if one.error is not None:
            items.append(rejected_item(index, one.name, one.error))
            continue
        job = _now(here, one.job)
        settled = settled and job.state in FINISHED
        items.append(upload_item(index, one.name, job, here.service.files))
    return items, settled


def _now(here: Context, job: Job | None) -> Job:
    assert job is not None  # without an error there is one
    return job if job.state in FINISHED else here.service.jobs.get(job.id)
