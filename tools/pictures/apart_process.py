"""The process that `tools.pictures.apart` starts: pictures in, what is on them out.

``python -m tools.pictures.apart_process JOB``, a `Job` as JSON. Either way go frames: four bytes of
length and as many of content, which is one letter of `Task` and a picture, or an answer as JSON. It
ends when its input does, and when nothing came for a while.
"""

import json
import os
import select
import signal
import struct
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from io import FileIO
from typing import TYPE_CHECKING, Any

from domain.decisions import as_dict
from tools.pictures.decoding import Limits, PictureRefused, decode

if TYPE_CHECKING:
    from tools.pictures.ocr_models import Recogniser

_CHECK_SIDE = 64

Answer = dict[str, Any]


class Task(StrEnum):
    CHECK = "c"
    """Can all of it be decoded?"""
    MEASURE = "m"
    READ = "r"


@dataclass(frozen=True, slots=True)
class Job:
    """``memory``: bytes that the process may take; ``idle_s``: after so long without a picture it
    ends."""

    max_bytes: int
    max_pixels: int
    memory: int
    niceness: int
    idle_s: float

    def as_argument(self) -> str:
        return json.dumps(asdict(self))


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    _prepare(job)
    # What libraries print must not get between the answers.
    answers = FileIO(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        _serve(job, FileIO(0, closefd=False), answers)
    except (BrokenPipeError, EOFError):
        return


def _prepare(job: Job) -> None:
    import resource

    # Signals reach the whole group; this process ends when whoever started it does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(job.niceness)
    resource.setrlimit(resource.RLIMIT_DATA, (job.memory, job.memory))


def _serve(job: Job, pictures: FileIO, answers: FileIO) -> None:
    limits = Limits(job.max_bytes, job.max_pixels)
    while select.select([pictures], [], [], job.idle_s)[0]:
        (length,) = struct.unpack(">I", _exactly(pictures, 4))
        task, data = Task(_exactly(pictures, 1).decode()), _exactly(pictures, length - 1)
        try:
            answer = _WORK[task](data, limits)
        except PictureRefused as error:
            answer = {"refused": error.reason}
        except Exception:
            # What state the libraries are in is anybody's guess: a new process is a clean one.
            _write(answers, {"failed": traceback.format_exc()})
            raise SystemExit(1) from None
        _write(answers, answer)


def _check(data: bytes, limits: Limits) -> Answer:
    decode(data, limits, max_side=_CHECK_SIDE)
    return {}


# What the other tasks need is large: a process imports what its own tasks do.


def _measure(data: bytes, limits: Limits) -> Answer:
    from tools.pictures.inspect import inspect

    _one_core()
    return as_dict(inspect(data, "", limits))


def _read(data: bytes, limits: Limits) -> Answer:
    found = _recogniser().read(data, limits)
    return {"lines": [[line.text, line.box, line.score] for line in found.lines]}


@cache
def _recogniser() -> "Recogniser":
    from tools.pictures.ocr_models import Recogniser

    _one_core()
    return Recogniser()


@cache
def _one_core() -> None:
    """The others are for those who wait."""
    import cv2

    cv2.setNumThreads(1)


_WORK: dict[Task, Callable[[bytes, Limits], Answer]] = {
    Task.CHECK: _check,
    Task.MEASURE: _measure,
    Task.READ: _read,
}


def _exactly(source: FileIO, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = source.read(min(length - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def _write(sink: FileIO, answer: dict[str, Any]) -> None:
    body = json.dumps(answer).encode()
    rest = memoryview(struct.pack(">I", len(body)) + body)
    while rest:
        rest = rest[sink.write(rest) :]


if __name__ == "__main__":
    main()
