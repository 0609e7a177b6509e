"""The conversations that are shipped as an example, and as a guard of the sample knowledge."""

import asyncio
from pathlib import Path

from engine.regressions.script import read_scripts, script_files
from engine.regressions.stage import replaying_alone
from engine.settings import load_settings
from tests.service import sample_data

FOLDER = Path(__file__).parent / "conversations"


def test_every_shipped_conversation_goes_as_it_says() -> None:
    scripts = [script for file in script_files([FOLDER]) for script in read_scripts(file)]
    settings = load_settings(env_files=None, data_dir=sample_data(), database_url=None)

    async def replay() -> None:
        async with replaying_alone(settings) as replayer:
            report = await replayer.play_all(scripts)
        found = {
            one.name: [one.error, *map(str, one.turns)] for one in report.played if not one.passed
        }
        assert found == {}
        assert len(report.played) == len(scripts) >= 12

    asyncio.run(replay())
