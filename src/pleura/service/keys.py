"""Keys of the REST API: shown once, stored as their SHA-256, revoked at once.

A key is 256 random bits. A slow password hash protects what people choose, because what people
choose can be guessed; 2**256 random values cannot, whatever the speed of the hash. So SHA-256
suffices, and a request costs no quarter of a second.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Engine, Row, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from pleura.service.errors import KeyNameError, UnknownKeyError
from pleura.service.store.clock import Clock, utc_now
from pleura.service.store.engine import reading, writing
from pleura.service.store.tables import api_keys

PREFIX = "pleura_"
_FORM = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Role(StrEnum):
    """What a key may do; each role may do what those before it may."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"

    def covers(self, needed: "Role") -> bool:
        """Whether this role may do what `needed` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret."""

    name: str
    role: Role
    created_at: datetime
    revoked_at: datetime | None


class KeyStore:
    """The keys of one database.

    Args:
        engine: from `open_engine`.
        clock: for tests.
    """

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self._engine = engine
        self._clock = clock

    def make(self, name: str, role: Role) -> str:
        """Make a key; returns its secret, which is stored nowhere.

        Args:
            name: who uses it; letters, digits, `_`, `.` and `-`, at most 64. The audit log shows
                it, so the name of a revoked key is not given again.
            role: what it may do.

        Raises:
            KeyNameError: the name is not of this form, or is taken.
        """
        if not _NAME.fullmatch(name):
            raise KeyNameError("A key's name is 1 to 64 letters, digits, '_', '.' and '-'.")
        secret = PREFIX + secrets.token_urlsafe(32)
        values = {
            "name": name,
            "role": role,
            "key_sha256": _digest(secret),
            "created_at": self._clock(),
        }
        try:
            with writing(self._engine) as connection:
                connection.execute(insert(api_keys).values(values))
        except IntegrityError:
            raise KeyNameError("There is, or was, a key of this name.") from None
        return secret

    def find(self, secret: str) -> ApiKey | None:
        """The valid key of this secret, or None.

        The look-up goes by the digest, so that its time says nothing about the secret; the digests
        are then compared in constant time.
        """
        if not _FORM.fullmatch(secret):
            return None
        digest = _digest(secret)
        with reading(self._engine) as connection:
            row = connection.execute(
                select(api_keys).where(
                    api_keys.c.key_sha256 == digest, api_keys.c.revoked_at.is_(None)
                )
            ).first()
        if row is None or not hmac.compare_digest(row.key_sha256, digest):
            return None
        return _key_of(row)

    def all_keys(self) -> list[ApiKey]:
        """All keys by name, the revoked ones too."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(api_keys).order_by(api_keys.c.name))
            return [_key_of(row) for row in rows]

    def has_any(self) -> bool:
        """Whether there is a valid key."""
        with reading(self._engine) as connection:
            valid = select(exists().where(api_keys.c.revoked_at.is_(None)))
            return bool(connection.execute(valid).scalar_one())

    def revoke(self, name: str) -> None:
        """Make a key invalid from now on.

        Raises:
            UnknownKeyError: there is no valid key of this name.
        """
        with writing(self._engine) as connection:
            changed = connection.execute(
                update(api_keys)
                .where(api_keys.c.name == name, api_keys.c.revoked_at.is_(None))
                .values(revoked_at=self._clock())
            )
            if changed.rowcount != 1:
                raise UnknownKeyError("There is no valid key of this name.")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key_of(row: Row[Any]) -> ApiKey:
    return ApiKey(row.name, Role(row.role), row.created_at, row.revoked_at)
