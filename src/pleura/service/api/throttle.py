"""How often one address may fail: a bucket of tokens that fills up again."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

_ADDRESSES = 10_000


class Throttle:
    """Token buckets by address. Safe for many threads; remembers the last 10,000 addresses.

    Args:
        per_minute: size of a bucket, and what flows into it in a minute.
        clock: seconds, for tests.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = float(per_minute)
        self._rate = per_minute / 60.0
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, address: str) -> bool:
        """Take a token; False when there is none left."""
        with self._lock:
            now = self._clock()
            tokens, since = self._buckets.pop(address, (self._size, now))
            tokens = min(self._size, tokens + (now - since) * self._rate)
            allowed = tokens >= 1.0
            self._buckets[address] = (tokens - 1.0 if allowed else tokens, now)
            if len(self._buckets) > _ADDRESSES:
                self._buckets.popitem(last=False)
            return allowed
