"""What the settings judge with."""

import hashlib
import json

from pleura.inference import Engine, Manifest, Predictor, find_model
from pleura.inference.manifest import MANIFEST_NAME, sha256_of
from pleura.inference.threads import default_threads
from pleura.quality import GateSettings, Strictness
from pleura.service.settings.work import ModelSettings
from pleura.service.store.values import Recipe


def recipe_of(settings: ModelSettings) -> Recipe:
    """The recipe, without loading the networks.

    Raises:
        ModelError: there is no such model or operating point, or its manifest is damaged.
    """
    folder = find_model(settings.model)
    manifest = Manifest.read(folder)
    point = manifest.operating_point(settings.operating_point)
    parts = [sha256_of(folder / MANIFEST_NAME), point.name, settings.gate, settings.correct]
    if settings.engine is not None:
        parts.append(settings.engine)
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return Recipe(digest, manifest.name, manifest.version)


def load_predictor(settings: ModelSettings, workers: int = 1) -> Predictor:
    """The predictor that the settings name.

    Args:
        settings: of the model.
        workers: processes that share the cores.

    Raises:
        ModelError: as in `recipe_of`, or a network cannot be loaded.
    """
    threads = default_threads(workers) if settings.threads is None else settings.threads
    return Predictor.load(
        settings.model,
        threads=threads,
        operating_point=settings.operating_point,
        gate=GateSettings(Strictness(settings.gate), settings.correct),
        engine=None if settings.engine is None else Engine(settings.engine),
    )
