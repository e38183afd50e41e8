"""The DICOM node: takes images by C-STORE, from peers that are known, onto the disk."""

from pleura.service.node.node import Node, listen_forever

__all__ = ["Node", "listen_forever"]
