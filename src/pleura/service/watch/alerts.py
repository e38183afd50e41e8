"""Telling somebody of an alarm: a program of the site's own, an address, or both.

Whatever they do, the service goes on: a program that fails or hangs and an address that does not
answer are logged by the kind of error, and no more comes of it.
"""

import json
import logging
import subprocess
import time
from typing import Any

import requests

from pleura.service.settings.watch import WatchSettings
from pleura.service.store import Recipe
from pleura.service.watch.standing import Change

SCHEMA = "pleura.alert/1"

_log = logging.getLogger(__name__)


def alert_of(change: Change, recipe: Recipe) -> dict[str, Any]:
    """What is told, as JSON: no identifiers of patients, images or jobs."""
    return {
        "schema": SCHEMA,
        "code": change.code.value,
        "state": "raised" if change.raised else "cleared",
        "at": change.at.isoformat(),
        "text": change.text,
        "p": change.p,
        "model": {"name": recipe.model_name, "version": recipe.model_version},
        "note": "Research software, not a medical device.",
    }


def tell(change: Change, recipe: Recipe, settings: WatchSettings) -> None:
    """Log a change, run the program and post to the address, where they are set.

    Takes at most `alert_seconds` for the program and, with all tries, about
    `alert_attempts * (alert_seconds + 4)` for the address.
    """
    state = "raised" if change.raised else "cleared"
    _log.warning("alarm %s %s: %s", change.code.value, state, change.text)
    body = json.dumps(alert_of(change, recipe))
    if settings.alert_command:
        _run(settings.alert_command, body, settings.alert_seconds)
    if settings.alert_url is not None:
        _post(settings.alert_url, body, settings.alert_seconds, settings.alert_attempts)


def _run(command: tuple[str, ...], body: str, seconds: float) -> None:
    try:
        done = subprocess.run(
            command,
            input=body.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        _log.error("the alert program failed: %s", type(error).__name__)
        return
    if done.returncode != 0:
        _log.error("the alert program ended with status %d", done.returncode)


def _post(url: str, body: str, seconds: float, attempts: int) -> None:
    for attempt in range(attempts):
        if attempt > 0:
            time.sleep(min(2.0 ** (attempt - 1), 4.0))
        try:
            answer = requests.post(
                url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=seconds,
                allow_redirects=False,
            )
        except requests.RequestException as error:  # its text holds the address
            reason = type(error).__name__
        else:
            if answer.ok:
                return
            reason = f"status {answer.status_code}"
        _log.error("the alert address failed, try %d of %d: %s", attempt + 1, attempts, reason)
