"""The DICOM listener."""

from pleura.service.settings.section import Section


class NodeSettings(Section):
    """The DICOM listener."""
