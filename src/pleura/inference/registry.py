"""Which models are installed, and which folder a name or a path stands for."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from pleura.errors import ModelError
from pleura.inference.manifest import MANIFEST_NAME, Manifest

DEFAULT_FILE = "DEFAULT"


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model folder inside the package."""

    name: str
    folder: Path
    is_default: bool

    def manifest(self) -> Manifest:
        """Read the manifest; raises `ModelError` when it is not valid."""
        return Manifest.read(self.folder)


def weights_folder() -> Path:
    """The folder of the embedded models."""
    return Path(str(files("pleura") / "weights"))


def installed_models(weights: Path | None = None) -> tuple[InstalledModel, ...]:
    """All embedded models, by name.

    The default is the one that the file `DEFAULT` names, or the only one there is.

    Args:
        weights: folder to look in; None for the package's own.
    """
    root = weights_folder() if weights is None else weights
    if not root.is_dir():
        return ()
    folders = sorted(path.parent for path in root.glob(f"*/{MANIFEST_NAME}"))
    named = root / DEFAULT_FILE
    if named.is_file():
        default = named.read_text(encoding="utf-8").strip()
    else:
        default = folders[0].name if len(folders) == 1 else ""
    return tuple(InstalledModel(path.name, path, path.name == default) for path in folders)


def find_model(name_or_path: str | Path | None = None, weights: Path | None = None) -> Path:
    """The folder of a model.

    Args:
        name_or_path: name of an installed model, path of a model folder (or of its manifest), or
            None for the default. A plain name means the installed model first.
        weights: folder of the installed models; None for the package's own.

    Raises:
        ModelError: there is no such model, or no default one.
    """
    models = installed_models(weights)
    if name_or_path is None:
        for model in models:
            if model.is_default:
                return model.folder
        raise ModelError(
            "This installation holds no default model.",
            "Name a model folder with --model, or reinstall the package.",
        )
    for model in models:
        if model.name == str(name_or_path):
            return model.folder
    path = Path(name_or_path)
    if path.name == MANIFEST_NAME:
        path = path.parent
    if _holds_manifest(path):
        return path
    known = ", ".join(model.name for model in models) or "none"
    raise ModelError(
        f"There is no installed model and no model folder named '{name_or_path}'.",
        f"Installed: {known}. A model folder holds a {MANIFEST_NAME}.",
    )


def _holds_manifest(folder: Path) -> bool:
    try:
        return (folder / MANIFEST_NAME).is_file()
    except OSError as error:  # not permitted, or no name that a file system takes
        raise ModelError(f"The model folder {folder} cannot be read: {error.strerror}.") from error
