"""PostgreSQL takes no NUL in a text, SQLite does: whoever sends one is answered, not «away»."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.service import Service, running_service
from tests.databases import fresh_postgres_database


@pytest.fixture(scope="module")
def service(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("nul")
    with (
        fresh_postgres_database(postgres_url) as url,
        running_service(folder, database_url=url) as running,
    ):
        yield running


def spoilt(paths: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Method and address, with a NUL in one parameter of the path or the query."""
    for path, methods in paths.items():
        for method, operation in methods.items():
            for parameter in operation.get("parameters", ()):
                name = parameter["name"]
                if parameter["in"] == "path":
                    yield method, re.sub(r"\{\w+\}", "1", path.replace(f"{{{name}}}", "a%00b"))
                elif parameter["in"] == "query":
                    yield method, re.sub(r"\{\w+\}", "1", path) + f"?{name}=a%00b"


def test_a_nul_in_an_address_is_never_the_storages_fault(service: Service) -> None:
    paths = service.client.get("/openapi.json").raise_for_status().json()["paths"]
    asked = list(spoilt(paths))
    answers = {
        f"{method} {address}": service.client.request(method, address).status_code
        for method, address in asked
    }
    assert len(answers) > 50
    assert {name: status for name, status in answers.items() if status >= 500} == {}
