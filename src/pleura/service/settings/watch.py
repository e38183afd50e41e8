"""What is watched while it runs, and when somebody is told."""

from pleura.service.settings.section import Section


class WatchSettings(Section):
    """What is watched while it runs, and when somebody is told."""
