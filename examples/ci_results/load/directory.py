"""Reads a directory of results (CI-89) and checks all of it. Nothing is written here.

    DIR/samples/<file>                      optional; a sample that no test names is loaded as well
    DIR/run.log                             optional
    DIR/tests/<name>/expected/<file>
    DIR/tests/<name>/variants/<file>/…      optional: other contents that are accepted for an output
    DIR/tests/<name>/actual/<file>          one that is not there, or is empty, is a missing output
    DIR/tests/<name>/test.json              optional
    DIR/tests/<name>/result.json            optional
    DIR/tests/<name>/log.txt                optional

A test with neither `actual` nor `result.json` is not reported. A test that names no sample has its
command as its sample. Links are refused: a directory that somebody else made must not lead elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from examples.ci_results.load.descriptions import Description, Result
from examples.ci_results.services import layout

MAX_FILE = 100 * 1024 * 1024
"""As many bytes as a worker may send (CI-87)."""
MAX_NAME = 255
KNOWN = frozenset({"expected", "variants", "actual", "test.json", "result.json", "log.txt"})
DEFAULT_EXTENSION = ".txt"

M = TypeVar("M", bound=BaseModel)


class BadInput(Exception):
    """The directory cannot be loaded; the message has a line for each reason, with its path."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample; `source` is a file, or the content itself."""

    name: str
    sha256: str
    extension: str
    """Without its dot."""
    source: Path | bytes


@dataclass(frozen=True, slots=True)
class Output:
    """An expected file, and what the test produced in its place."""

    filename: str
    extension: str
    sha256: str
    expected: Path
    actual: Path | None
    is_match: bool
    """Whether the test produced just what is expected; that may be nothing but an empty file."""
    variants: frozenset[str]
    """Hashes of other contents that are accepted."""
    ignored: bool


@dataclass(frozen=True, slots=True)
class Case:
    """A regression test, and what became of it; `result` is None where it is not reported."""

    name: str
    description: Description
    sample: Sample
    outputs: Sequence[Output]
    result: Result | None
    log: Path | None


@dataclass(frozen=True, slots=True)
class Loadable:
    """All of a directory."""

    samples: Sequence[Sample]
    cases: Sequence[Case]
    log: Path | None


def read(folder: Path) -> Loadable:
    """The checked content of a directory. Raises BadInput, which names everything that is wrong."""
    samples = {path.name: _sample(path) for path in _files(folder / "samples")}
    cases, wrong = _cases(folder, samples)
    wrong += _repeated(cases)
    if wrong:
        raise BadInput("\n".join(wrong))
    if not cases:
        raise BadInput(f"{folder / 'tests'}: there is no test.")
    by_content = {one.sha256: one for one in [*samples.values(), *(case.sample for case in cases)]}
    return Loadable(list(by_content.values()), cases, _with_content(folder / "run.log"))


def _cases(folder: Path, samples: Mapping[str, Sample]) -> tuple[list[Case], list[str]]:
    found, wrong = [], []
    for path in _folders(folder / "tests"):
        try:
            found.append(_case(path, samples))
        except BadInput as error:
            wrong.append(str(error))
    return found, wrong


def _repeated(cases: Iterable[Case]) -> list[str]:
    """Tests are found again by sample and command, so two of one folder must not share both."""
    first: dict[tuple[str, str], str] = {}
    wrong = []
    for case in cases:
        other = first.setdefault((case.sample.sha256, case.description.command), case.name)
        if other != case.name:
            wrong.append(f"tests/{case.name}: has the sample and the command of tests/{other}.")
    return wrong


def _case(folder: Path, samples: Mapping[str, Sample]) -> Case:
    unknown = sorted(path.name for path in folder.iterdir() if path.name not in KNOWN)
    if unknown:
        raise BadInput(f"{folder}: nothing is known of {', '.join(unknown)}.")
    description = _described(Description, folder / "test.json", {"command": folder.name})
    actual = {path.name: path for path in _files(folder / "actual")}
    outputs = [_output(path, description, actual.get(path.name)) for path in _files(folder / "expected")]
    names = {output.filename for output in outputs}
    _require_known(folder / "actual", actual, names)
    _require_known(folder / "variants", [path.name for path in _folders(folder / "variants")], names)
    _require_known(folder / "test.json", description.ignored, names)
    is_reported = (folder / "actual").is_dir() or (folder / "result.json").exists()
    return Case(
        name=folder.name,
        description=description,
        sample=_sample_of(folder, description, samples),
        outputs=outputs,
        result=_described(Result, folder / "result.json", {}) if is_reported else None,
        log=_with_content(folder / "log.txt"),
    )


def _output(path: Path, description: Description, actual: Path | None) -> Output:
    variants = _files(path.parent.parent / "variants" / path.name)
    sha256 = _digest(path)
    return Output(
        filename=path.name,
        extension=_extension(path),
        sha256=sha256,
        expected=path,
        actual=None if actual is None else _with_content(actual),
        is_match=actual is not None and _digest(actual) == sha256,
        variants=frozenset(_digest(variant) for variant in variants),
        ignored=path.name in description.ignored,
    )


def _require_known(place: Path, names: Iterable[str], known: Iterable[str]) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise BadInput(f"{place}: there is no expected file {', '.join(unknown)}.")


def _sample(path: Path) -> Sample:
    return Sample(path.name, _digest(path), _extension(path)[1:], path)


def _sample_of(folder: Path, description: Description, samples: Mapping[str, Sample]) -> Sample:
    if description.sample is None:
        content = description.command.encode()
        name = f"{folder.name[: MAX_NAME - len(DEFAULT_EXTENSION)]}{DEFAULT_EXTENSION}"
        return Sample(name, hashlib.sha256(content).hexdigest(), DEFAULT_EXTENSION[1:], content)
    if description.sample not in samples:
        raise BadInput(f"{folder / 'test.json'}: there is no sample {description.sample}.")
    return samples[description.sample]


def _described(model: type[M], path: Path, default: Mapping[str, object]) -> M:
    """What a file says; what it leaves out is as by default. Without the file all is."""
    said = _json(path) if path.exists() else {}
    try:
        return model.model_validate({**default, **said})
    except ValidationError as error:
        fields = sorted({".".join(str(part) for part in one["loc"]) for one in error.errors()})
        raise BadInput(f"{path}: please correct {', '.join(fields)}.") from None


def _json(path: Path) -> dict[str, object]:
    try:
        found = json.loads(_file(path).read_bytes())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadInput(f"{path}: is no JSON object.")
    return found


def _extension(path: Path) -> str:
    extension = path.suffix or DEFAULT_EXTENSION
    if not layout.is_extension(extension):
        raise BadInput(f"{path}: its extension must be a dot and up to 10 letters and digits.")
    return extension


def _with_content(path: Path) -> Path | None:
    """A file, if it is there and not empty: no worker can send an empty one (CI-87)."""
    return path if path.exists() and _file(path).stat().st_size else None


def _files(folder: Path) -> list[Path]:
    """The files of a folder by name; none where there is no such folder."""
    return [_file(path) for path in _entries(folder)]


def _folders(folder: Path) -> list[Path]:
    found = _entries(folder)
    for path in found:
        if not path.is_dir():
            raise BadInput(f"{path}: is no folder.")
    return found


def _entries(folder: Path) -> list[Path]:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise BadInput(f"{folder}: is no folder.")
    found = sorted(folder.iterdir()) if folder.exists() else []
    for path in found:
        if not path.name.isprintable() or len(path.name) > MAX_NAME or path.is_symlink():
            raise BadInput(f"{path!r}: is a link, or is named in a way that cannot be kept.")
    return found


def _file(path: Path) -> Path:
    if path.is_symlink() or not path.is_file():
        raise BadInput(f"{path}: is no file.")
    if path.stat().st_size > MAX_FILE:
        raise BadInput(f"{path}: has more than {MAX_FILE} bytes.")
    return path


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
