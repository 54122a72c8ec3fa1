"""Samples, tests and expected outputs, found by name and content or made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, delete, func, insert, select, update

from examples.ci_results.enumerations import InputType, OutputType
from examples.ci_results.models.tables import (
    category,
    regression_test,
    regression_test_category,
    regression_test_output,
    regression_test_output_variant,
    sample,
    sample_tag,
    tag,
)


class NewTest(NamedTuple):
    """A regression test as it is described."""

    sample_id: int
    command: str
    input_type: InputType = InputType.FILE
    output_type: OutputType = OutputType.FILE
    expected_rc: int = 0
    active: bool = True
    description: str | None = None
    categories: Sequence[str] = ()


class NewOutput(NamedTuple):
    """An expected output as it is described; the extension has its dot."""

    expected_hash: str
    extension: str
    filename: str
    ignored: bool = False


class ExpectedOutput(NamedTuple):
    """An expected output."""

    id: int
    regression_test_id: int
    expected_hash: str
    extension: str
    filename: str
    ignored: bool


def add_sample(
    connection: Connection, *, sha: str, extension: str, original_name: str, tags: Iterable[str] = ()
) -> int:
    """The id of the sample with this content, which is made if there is none."""
    row = {"extension": extension, "original_name": original_name}
    sample_id = _found_or_made(connection, sample, {"sha": sha}, row)
    for name in tags:
        tag_id = _found_or_made(connection, tag, {"name": name})
        _link(connection, sample_tag, {"sample_id": sample_id, "tag_id": tag_id})
    return sample_id


def add_test(connection: Connection, test: NewTest) -> int:
    """The id of the test of this sample and command, which is made if there is none, and is as described
    from now on. Its sample is held, so that nobody makes the same test at the same moment."""
    described = test._asdict()
    del described["categories"]
    named = {name: described.pop(name) for name in ("sample_id", "command")}
    connection.execute(select(sample.c.id).where(sample.c.id == test.sample_id).with_for_update())
    test_id = _found_or_made(connection, regression_test, named, described)
    connection.execute(update(regression_test).where(regression_test.c.id == test_id).values(described))
    for name in test.categories:
        category_id = _found_or_made(connection, category, {"name": name})
        row = {"regression_test_id": test_id, "category_id": category_id}
        _link(connection, regression_test_category, row)
    return test_id


def add_output(connection: Connection, test_id: int, output: NewOutput) -> int:
    """The id of the output of this test and file name, which is made if there is none, and is as described
    from now on."""
    described = output._asdict()
    named = {"regression_test_id": test_id, "filename": described.pop("filename")}
    output_id = _found_or_made(connection, regression_test_output, named, described)
    table = regression_test_output
    connection.execute(update(table).where(table.c.id == output_id).values(described))
    return output_id


def ignore_others(connection: Connection, test_id: int, output_ids: Sequence[int]) -> None:
    """Let the outputs of a test that are not among these decide nothing from now on."""
    table = regression_test_output
    others = (table.c.regression_test_id == test_id) & table.c.id.not_in(output_ids)
    connection.execute(update(table).where(others).values(ignored=True))


def sample_of(connection: Connection, test_id: int) -> int | None:
    """The sample that a test is of."""
    found = select(regression_test.c.sample_id).where(regression_test.c.id == test_id)
    return connection.execute(found).scalar()


def set_active(connection: Connection, test_id: int, *, active: bool) -> None:
    """Say whether a test is run from now on."""
    connection.execute(update(regression_test).where(regression_test.c.id == test_id).values(active=active))


def output(connection: Connection, output_id: int) -> ExpectedOutput | None:
    """One expected output as it is now."""
    found = select(regression_test_output).where(regression_test_output.c.id == output_id)
    row = connection.execute(found).one_or_none()
    return None if row is None else ExpectedOutput(*row)


def hold_output(connection: Connection, output_id: int) -> ExpectedOutput | None:
    """The same, which nobody else changes until this transaction ends."""
    connection.execute(
        select(regression_test_output.c.id).where(regression_test_output.c.id == output_id).with_for_update()
    )
    return output(connection, output_id)


def outputs_of(connection: Connection, test_ids: Sequence[int]) -> Sequence[ExpectedOutput]:
    """The expected outputs of these tests, by id."""
    found = select(regression_test_output).where(regression_test_output.c.regression_test_id.in_(test_ids))
    return [ExpectedOutput(*row) for row in connection.execute(found.order_by(regression_test_output.c.id))]


def set_expected(connection: Connection, output_id: int, expected_hash: str) -> None:
    """What is expected from now on."""
    connection.execute(
        update(regression_test_output)
        .where(regression_test_output.c.id == output_id)
        .values(expected_hash=expected_hash)
    )


def accept_variant(connection: Connection, output_id: int, content_hash: str) -> None:
    """Accept another content for an output from now on."""
    _link(connection, regression_test_output_variant, {"output_id": output_id, "hash": content_hash})


def remove_variants(connection: Connection, output_id: int) -> int:
    """Accept no other content any more; returns how many there were."""
    variants = regression_test_output_variant
    return connection.execute(delete(variants).where(variants.c.output_id == output_id)).rowcount


def _found_or_made(
    connection: Connection, table: Table, named: dict[str, Any], more: dict[str, Any] | None = None
) -> int:
    is_it = [table.c[name] == value for name, value in named.items()]
    found: int | None = connection.execute(select(func.min(table.c.id)).where(*is_it)).scalar()
    if found is not None:
        return found
    made: int = connection.execute(insert(table).returning(table.c.id), named | (more or {})).scalar_one()
    return made


def _link(connection: Connection, table: Table, row: dict[str, Any]) -> None:
    is_it = [table.c[name] == value for name, value in row.items()]
    if connection.execute(select(table).where(*is_it)).first() is None:
        connection.execute(insert(table), row)
