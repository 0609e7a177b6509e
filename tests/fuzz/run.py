"""Schemathesis's own runner against a running service, in a process of its own."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.target import Target

ROOT = Path(__file__).resolve().parents[2]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
"""What must hold for every answer. Of the rest ``positive_data_acceptance`` and
``negative_data_rejection`` cannot: a schema does not say all that makes a request usable."""

_COUNTED = re.compile(r"^\s+(Selected|Tested): (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """``tested``: operations that got requests, of those ``selected``. ``report``: what failed,
    each with a curl command that repeats it."""

    failed: bool
    selected: int
    tested: int
    report: str


def deterministic(examples: int) -> list[str]:
    """The same requests each time; ``examples`` made-up ones beside the boundaries."""
    phases = "examples,coverage,fuzzing"
    return ["--generation-deterministic", "--max-examples", str(examples), "--phases", phases]


def at_random(examples: int, seed: int) -> list[str]:
    """Other requests for each seed, and walks along the links between operations."""
    phases = "examples,coverage,fuzzing,stateful"
    chosen = ["--seed", str(seed), "--max-examples", str(examples), "--phases", phases]
    return [*chosen, "--generation-database", "none"]


def fuzz(target: Target, folder: Path, generation: Sequence[str]) -> Fuzzed:
    """``folder`` is where the runner may leave files."""
    document = folder / "openapi.json"
    document.write_text(json.dumps(target.document), "utf-8")
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(document)]
    command += ["--url", target.url, *generation]
    command += ["--checks", ",".join(CHECKS), "--suppress-health-check", "all"]
    command += ["--continue-on-failure", "--request-timeout", "30", "--warnings", "off"]
    command += ["--no-color", "--output-truncate", "false"]
    variables = {
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks",
        "KEFU_FUZZ_KNOWN": json.dumps(target.known),
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=dict(os.environ) | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        check=False,
    )
    counts = {name: int(number.partition("/")[0]) for name, number in _COUNTED.findall(done.stdout)}
    # A thread of the runner that dies does not fail the run.
    failed = done.returncode != 0 or "Traceback" in done.stdout
    return Fuzzed(failed, counts.get("Selected", 0), counts.get("Tested", 0), done.stdout)
