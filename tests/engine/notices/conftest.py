from tests.sandbox_server import sandbox_server, shared_sandbox

__all__ = ["sandbox_server", "shared_sandbox"]
