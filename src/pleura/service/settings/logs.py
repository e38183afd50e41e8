"""What is logged, and how."""

from pleura.service.settings.section import Section


class LogSettings(Section):
    """What is logged, and how."""
