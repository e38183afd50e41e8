"""The REST API."""

from pleura.service.settings.section import Section


class ApiSettings(Section):
    """The REST API."""
