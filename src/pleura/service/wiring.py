"""The parts of the service, put together from the settings."""

from dataclasses import dataclass

from sqlalchemy import Engine

from pleura.service.files import FileStore
from pleura.service.intake import Intake
from pleura.service.recipe import recipe_of
from pleura.service.settings import Settings
from pleura.service.store import DeliveryStore, JobStore, Recipe, open_engine

_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Service:
    """What every process of the service holds."""

    settings: Settings
    recipe: Recipe
    engine: Engine
    files: FileStore
    jobs: JobStore
    deliveries: DeliveryStore
    intake: Intake

    def close(self) -> None:
        """Close the connections to the database."""
        self.engine.dispose()


def open_service(settings: Settings) -> Service:
    """Open the data folder and the database, and bring it to the newest version.

    Raises:
        StoreError: the database cannot be opened.
        ModelError: there is no such model or operating point.
    """
    recipe = recipe_of(settings.model)
    engine = open_engine(settings.storage)
    files = FileStore(settings.storage.folder, round(settings.storage.reserve_gib * _GIB))
    jobs = JobStore(engine, settings.worker, settings.storage.queue_limit)
    destinations = [destination.name for destination in settings.destinations]
    return Service(
        settings=settings,
        recipe=recipe,
        engine=engine,
        files=files,
        jobs=jobs,
        deliveries=DeliveryStore(engine, settings.worker),
        intake=Intake(files, jobs, recipe, destinations),
    )
