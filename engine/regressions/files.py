"""Where regressions are kept: one file each, in a folder of the data folder or a chosen one."""

from pathlib import Path

from engine.settings import Settings

FOLDER = "regressions"


def regressions_folder(settings: Settings) -> Path:
    return settings.regressions_dir or settings.data_dir.expanduser() / FOLDER
