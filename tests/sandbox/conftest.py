"""The run's sandbox for every test of this folder."""

from tests.sandbox_server import sandbox_server, shared_sandbox

__all__ = ["sandbox_server", "shared_sandbox"]
