"""The durable job store: what was received, what came of it, and where it was delivered."""

from pleura.service.store.deliveries import DeliveryStore
from pleura.service.store.engine import open_engine
from pleura.service.store.jobs import JobStore
from pleura.service.store.values import (
    FINISHED,
    Delivery,
    DeliveryState,
    Failure,
    Job,
    Outcome,
    Received,
    Recipe,
    State,
)

__all__ = [
    "FINISHED",
    "Delivery",
    "DeliveryState",
    "DeliveryStore",
    "Failure",
    "Job",
    "JobStore",
    "Outcome",
    "Received",
    "Recipe",
    "State",
    "open_engine",
]
