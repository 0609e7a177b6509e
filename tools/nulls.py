"""JSON in which null says the same as nothing."""

from typing import Any

from pydantic import BaseModel, model_validator


class NullsLeftOut(BaseModel):
    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value is not None}
