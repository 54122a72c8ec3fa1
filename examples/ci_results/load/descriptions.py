"""What `test.json` and `result.json` of a test may say (CI-89)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictInt

from examples.ci_results.enumerations import InputType, OutputType
from examples.ci_results.schemas.fields import MAX_ID, NO_ZERO, Taken

_Command = Annotated[str, Field(min_length=1, max_length=500, pattern=NO_ZERO)]
_Name = Annotated[str, Field(min_length=1, max_length=50, pattern=NO_ZERO)]
_Int32 = Annotated[StrictInt, Field(ge=-MAX_ID - 1, le=MAX_ID)]


class Description(Taken):
    """`test.json`; the command is the test's name unless it is said."""

    command: _Command
    sample: str | None = None
    input_type: InputType = InputType.FILE
    output_type: OutputType = OutputType.FILE
    expected_rc: _Int32 = 0
    categories: tuple[_Name, ...] = ()
    tags: tuple[_Name, ...] = ()
    description: Annotated[str, Field(max_length=1000, pattern=NO_ZERO)] | None = None
    ignored: tuple[str, ...] = ()
    """File names of expected outputs that decide nothing."""


class Result(Taken):
    """`result.json`; without one a test counts as ended with 0."""

    exit_code: _Int32 = 0
    runtime_ms: Annotated[StrictInt, Field(ge=0, le=MAX_ID)] = 0
