"""Delivery: results on their way to a PACS, by C-STORE or STOW-RS, until they have arrived."""

from pleura.service.delivery.loop import deliver_forever, deliver_once

__all__ = ["deliver_forever", "deliver_once"]
