"""Puts what a directory describes into the service: files into the storage, then rows, all or none.

Samples are found again by their content, tests by sample and command, outputs by file name, so that the
same directory twice makes nothing twice. What is expected is what the directory says: it is the newer word.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from examples.ci_results.load.directory import Case, Loadable, Output, Sample
from examples.ci_results.models import catalogue
from examples.ci_results.models.catalogue import NewOutput, NewTest
from examples.ci_results.models.database import Connection, Database, Taken
from examples.ci_results.services import layout
from examples.ci_results.services.receiving import received
from examples.ci_results.services.storage import Storage, StorageStatus


@dataclass(frozen=True, slots=True)
class Stocked:
    """A test of the directory as the service knows it."""

    case: Case
    test_id: int
    output_ids: Mapping[str, int]
    """By file name."""


def store_files(loadable: Loadable, storage: Storage, tell: Callable[[int, int], None]) -> None:
    """Put samples and expected files into the storage; `tell` hears how many of how many are there."""
    files = dict(_files(loadable))
    for done, (path, source) in enumerate(files.items(), start=1):
        if storage.status(path) is not StorageStatus.OK:
            _put(storage, path, source)
        tell(done, len(files))


def describe(loadable: Loadable, database: Database) -> Sequence[Stocked]:
    """Write samples, tests and outputs, and say under which ids they are known."""
    try:
        return _described(loadable, database)
    except Taken:  # somebody else loaded a new sample or tag of this name at the same moment
        return _described(loadable, database)


def _files(loadable: Loadable) -> Iterable[tuple[str, Path | bytes]]:
    for sample in loadable.samples:
        yield layout.sample(sample.sha256, sample.extension), sample.source
    for case in loadable.cases:
        for output in case.outputs:
            yield layout.result(output.sha256, output.extension), output.expected


def _put(storage: Storage, path: str, source: Path | bytes) -> None:
    if isinstance(source, Path):
        storage.put(path, source)
        return
    with received(io.BytesIO(source)) as file:
        storage.put(path, file.path)


def _described(loadable: Loadable, database: Database) -> Sequence[Stocked]:
    with database.write() as connection:
        for sample in loadable.samples:
            _sample(connection, sample, ())
        return [_case(connection, case) for case in loadable.cases]


def _sample(connection: Connection, sample: Sample, tags: Iterable[str]) -> int:
    return catalogue.add_sample(
        connection, sha=sample.sha256, extension=sample.extension, original_name=sample.name, tags=tags
    )


def _case(connection: Connection, case: Case) -> Stocked:
    said = case.description
    test = NewTest(
        _sample(connection, case.sample, said.tags),
        said.command,
        said.input_type,
        said.output_type,
        said.expected_rc,
        description=said.description,
        categories=said.categories,
    )
    test_id = catalogue.add_test(connection, test)
    output_ids = {output.filename: _output(connection, test_id, output) for output in case.outputs}
    catalogue.ignore_others(connection, test_id, list(output_ids.values()))
    return Stocked(case, test_id, output_ids)


def _output(connection: Connection, test_id: int, output: Output) -> int:
    described = NewOutput(output.sha256, output.extension, output.filename, output.ignored)
    output_id = catalogue.add_output(connection, test_id, described)
    for variant in sorted(output.variants):
        catalogue.accept_variant(connection, output_id, variant)
    return output_id
