"""The settings of the service: one file and environment variables, every field described.

The file is TOML. An environment variable overrides it: `PLEURA_` and the path of the field, with
two underscores between its parts, as in `PLEURA_STORAGE__QUOTA_GIB=100`.
"""

from pleura.service.settings.root import Settings, load_settings

__all__ = ["Settings", "load_settings"]
