"""`kefu worker` where it cannot work."""

from domain.errors import ConfigurationError
from tests.api.cli.conftest import Command


def test_on_sqlite_there_is_nothing_for_a_worker(kefu: Command) -> None:
    result = kefu("worker")
    assert isinstance(result.exception, ConfigurationError)
    assert result.exception.variable == "DATABASE_URL"
    assert not kefu.data_dir.exists()
