"""The REST API: images in, results out, the work list, and what watches over them."""

from pleura.service.api.app import create_app
from pleura.service.api.server import check, serve_forever

__all__ = ["check", "create_app", "serve_forever"]
