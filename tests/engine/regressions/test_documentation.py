"""What docs/reviews.md prints is what happens."""

import re
from pathlib import Path

from engine.regressions.script import Customer, Expect, Script, Step
from engine.settings import load_settings
from tests.engine.regressions.conftest import Play

PAGE = (Path(__file__).parents[3] / "docs" / "reviews.md").read_text("utf-8")
(EXAMPLE,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_printed_script_passes(play: Play) -> None:
    (played,) = play(EXAMPLE)
    assert [turn.failures for turn in played.turns] == [(), (), ()]
    assert played.passed


def test_every_field_that_can_be_written_is_explained() -> None:
    for model in (Script, Step, Expect, Customer):
        told = {name for name in model.model_fields if f"`{name}`" in PAGE or f"\n{name}:" in PAGE}
        assert told == set(model.model_fields) - {"source"}


def test_every_printed_setting_is_one_that_is_read_and_has_that_default() -> None:
    settings = load_settings(env_files=None)
    assert "`REVIEW_TURN_DAYS` (7; 0 keeps none)" in PAGE
    assert (settings.review_turn_days, settings.regressions_dir) == (7, None)
    assert "`REGRESSIONS_DIR`" in PAGE
