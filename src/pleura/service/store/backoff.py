"""How long to wait before the next try."""

import random
from datetime import timedelta

LONGEST_SECONDS = 600.0


def delay(attempts: int, first_seconds: float) -> timedelta:
    """Doubled with each try up to ten minutes, and up to a quarter longer by chance.

    The chance keeps tries that failed together from coming again together.

    Args:
        attempts: tries so far, at least 1.
        first_seconds: after the first.
    """
    seconds = min(first_seconds * 2.0 ** min(attempts - 1, 32), LONGEST_SECONDS)
    return timedelta(seconds=seconds * random.uniform(1, 1.25))
