"""Files: where they are kept, which paths there are, and how they are fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from ci_bed import Ci, digest, problem
from hypothesis import given
from hypothesis import strategies as st
from output_bed import NAME, Produced, claimed, produced, sha, upload
from servers.s3 import S3Server, s3_server  # noqa: F401  # a fixture

from examples.ci_results.enumerations import Role
from examples.ci_results.models import artifacts
from examples.ci_results.models.artifacts import NewArtifact
from examples.ci_results.problems import Unavailable, Unprocessable
from examples.ci_results.services import layout
from examples.ci_results.services.files import Files, LocalFiles, open_files
from examples.ci_results.services.storage import Storage, StorageStatus
from keyrack import ConfigurationError

SHA = "a" * 64
PLACE = f"TestResults/{SHA}.txt"
ACTUAL = layout.result(sha(b"actual\n"), ".txt")
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=tests/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)
OpenCi = Callable[..., Ci]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file on its way into a storage."""
    path = tmp_path / "source"
    path.write_bytes(b"0123456789")
    return path


@pytest.fixture
def bucket(s3_server: S3Server) -> str:  # noqa: F811
    return s3_server.make_bucket()


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """An empty place of each kind."""
    if request.param == "local":
        return open_files(f"file:{tmp_path / 'place'}", "CI_STORAGE_URL")
    return open_files(f"s3://{request.getfixturevalue('bucket')}/some/prefix", "CI_STORAGE_URL")


@pytest.mark.spec("CI-1", "CI-76")
def test_every_place_keeps_files_whole(place: Files, source: Path) -> None:
    assert (place.size(PLACE), list(place.read(PLACE))) == (None, [])
    place.put(PLACE, source)
    assert place.size(PLACE) == 10
    assert b"".join(place.read(PLACE)) == b"0123456789"
    assert b"".join(place.read(PLACE, start=8)) == b"89"
    assert b"".join(place.read(PLACE, start=2, length=3)) == b"234"
    assert b"".join(place.read(PLACE, length=99)) == b"0123456789"
    source.write_bytes(b"new")
    place.put(PLACE, source)
    assert b"".join(place.read(PLACE)) == b"new"
    assert place.answers()


@pytest.mark.spec("CI-78")
def test_files_are_laid_out_by_run_and_by_content() -> None:
    assert layout.run_log(7) == "LogFiles/7.txt"
    assert layout.test_log(7, 3) == "LogFiles/7/3.txt"
    assert layout.result(SHA, ".srt") == f"TestResults/{SHA}.srt"
    assert layout.sample(SHA, "ts") == f"TestFiles/{SHA}.ts"
    assert [layout.artifact(7, kind) for kind in ("binary", "coredump", "combined_stdout")] == [
        "test_artifacts/7/binary",
        "test_artifacts/7/coredump",
        "test_artifacts/7/combined_stdout.log",
    ]


@pytest.mark.spec("CI-78")
@pytest.mark.parametrize(
    "extension",
    [".", "..txt", ".t/t", ".t\\t", ".txt\n", ".t t", ".t\0", ".é", ".12345678901", ".tar.gz", ".."],
)
def test_extension_allow_list(extension: str) -> None:
    assert layout.is_extension(".A1b2C3d4E5")
    for refused in (extension, f"x{extension}", "txt", ""):
        assert not layout.is_extension(refused)
        with pytest.raises(Unprocessable):
            layout.result(SHA, refused)
    with pytest.raises(Unprocessable):
        layout.sample(SHA, extension.removeprefix("."))


@pytest.mark.spec("CI-78")
@pytest.mark.parametrize(
    "wrong", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "../" + "a" * 61, "a" * 64 + "\n"]
)
def test_a_hash_is_64_digits_in_lower_case(wrong: str) -> None:
    for lay_out, extension in ((layout.result, ".txt"), (layout.sample, "ts")):
        with pytest.raises(Unprocessable):
            lay_out(wrong, extension)


HOSTILE = [
    "/etc/passwd",
    "../secret.txt",
    "LogFiles/../../secret.txt",
    "LogFiles/1.txt/../../../secret.txt",
    "LogFiles/01.txt",
    "LogFiles/1.txt\n",
    "LogFiles//1.txt",
    "./LogFiles/1.txt",
    f"TestResults/{SHA}",
    f"TestResults/{SHA}.txt.exe.",
    "test_artifacts/1/other",
    "secret.txt",
    "",
]


@pytest.mark.spec("CI-78")
@pytest.mark.parametrize("path", HOSTILE)
def test_path_stays_inside_root(tmp_path: Path, source: Path, path: str) -> None:
    """No path but those of the layout is written, read or found, also where such a file is."""
    (tmp_path / "secret.txt").write_text("secret")
    root = tmp_path / "files"
    storage = Storage(LocalFiles(root))
    (root / "LogFiles").mkdir(parents=True)
    (root / "secret.txt").write_text("secret")
    before = set(tmp_path.rglob("*"))
    with pytest.raises(Unprocessable):
        storage.put(path, source)
    assert set(tmp_path.rglob("*")) == before
    assert (storage.size(path), list(storage.read(path))) == (None, [])
    assert storage.status(path) is StorageStatus.MISSING


@pytest.mark.spec("CI-78")
def test_links_lead_nowhere(tmp_path: Path, source: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "files"
    (outside / "7").mkdir(parents=True)
    (outside / "7" / "3.txt").write_text("secret")
    root.mkdir()
    (root / "LogFiles").symlink_to(outside)
    (root / "TestResults").mkdir()
    (root / PLACE).symlink_to(outside / "7" / "3.txt")
    storage = Storage(LocalFiles(root))
    for path in ("LogFiles/7/3.txt", PLACE):
        assert (storage.size(path), list(storage.read(path))) == (None, [])
    for path in ("LogFiles/8.txt", "LogFiles/9/1.txt"):
        with pytest.raises(Unavailable):
            storage.put(path, source)
    assert sorted(one.name for one in outside.rglob("*")) == ["3.txt", "7"]
    storage.put(PLACE, source)
    assert (outside / "7" / "3.txt").read_text() == "secret"
    assert b"".join(storage.read(PLACE)) == b"0123456789"


@pytest.mark.spec("CI-78")
def test_links_in_a_circle_are_trouble_of_the_storage(tmp_path: Path, source: Path) -> None:
    (tmp_path / "files").symlink_to(tmp_path / "files")
    storage = Storage(LocalFiles(tmp_path / "files"))
    with pytest.raises(Unavailable):
        storage.put(PLACE, source)
    with pytest.raises(Unavailable):
        storage.size(PLACE)
    assert not storage.primary.answers()


@pytest.mark.spec("CI-78")
@given(path=st.from_regex(r"[A-Za-z]{0,12}(/[.\w-]{0,12}){0,3}", fullmatch=True))
def test_what_is_a_path_has_no_way_up(path: str) -> None:
    if layout.is_path(path):
        assert ".." not in Path(path).parts
        assert not Path(path).is_absolute()


def test_what_the_layout_makes_is_a_path() -> None:
    for path in (
        layout.run_log(1),
        layout.test_log(2**31 - 1, 10),
        layout.result(digest("a"), ".x"),
        layout.sample(digest("a"), "x"),
        *(layout.artifact(7, kind) for kind in layout.ARTIFACT_NAMES),
    ):
        assert layout.is_path(path)


def artifact(ci: Ci, found: Produced, kind: str) -> dict[str, object]:
    """The file of this type as the run's list shows it."""
    token = ci.token("ann")
    (row,) = ci.get(f"/runs/{found.run_id}/artifacts?type={kind}", token).json()["data"]
    return dict(row)


@pytest.mark.spec("CI-76", "CI-77")
def test_download_url_exists(ci: Ci, tmp_path: Path) -> None:
    token = ci.full_token("ann", Role.USER)
    found = produced(ci, b"expected\n", b"actual\n")
    row = artifact(ci, found, "actual_output")
    assert row["download_url"] == f"/api/v1/downloads/{row['artifact_id']}"
    answer = ci.get(str(row["download_url"]), token)
    assert (answer.status_code, answer.content) == (200, b"actual\n")
    assert answer.headers["content-length"] == "7"
    assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''{NAME}"
    (tmp_path / "files" / ACTUAL).unlink()
    gone = artifact(ci, found, "actual_output")
    assert (gone["storage_status"], gone["download_url"]) == ("missing", None)
    assert problem(ci.get(str(row["download_url"]), token)) == (404, "not_found")
    assert problem(ci.get("/downloads/999", token)) == (404, "not_found")
    assert problem(ci.get("/downloads/0", token)) == (400, "validation_error")


@pytest.mark.spec("CI-76", "CI-77")
@pytest.mark.parametrize("gone", ["primary", "mirror", "both"])
def test_a_file_is_ok_degraded_or_missing(open_ci: OpenCi, tmp_path: Path, bucket: str, gone: str) -> None:
    url = {"primary": f"file:{tmp_path / 'files'}", "mirror": f"s3://{bucket}/mirror"}
    ci = open_ci(CI_STORAGE_URL=url["primary"], CI_STORAGE_MIRROR_URL=url["mirror"])
    ci.person("ann")
    found = produced(ci, b"expected\n", b"actual\n")
    row = artifact(ci, found, "actual_output")
    assert row["storage_status"] == "ok"
    empty = {"primary": f"file:{tmp_path / 'empty'}", "mirror": f"s3://{bucket}/empty"}
    left = {name: empty[name] if gone in (name, "both") else url[name] for name in url}
    storage = Storage(*(open_files(one, "CI_STORAGE_URL") for one in left.values()))
    status = StorageStatus.MISSING if gone == "both" else StorageStatus.DEGRADED
    assert storage.status(ACTUAL) is status
    assert b"".join(storage.read(ACTUAL)) == (b"" if gone == "both" else b"actual\n")


@pytest.mark.spec("CI-77")
def test_signed_url_only_after_check(
    open_ci: OpenCi,
    bucket: str,
    s3_server: S3Server,  # noqa: F811
) -> None:
    ci = open_ci(CI_STORAGE_URL=f"s3://{bucket}/runs", CI_DOWNLOAD_MINUTES="5")
    token = ci.full_token("ann", Role.USER)
    found = produced(ci, b"expected\n", b"actual\n")
    row = artifact(ci, found, "actual_output")
    shown = ci.get(found.path("actual"), token)
    assert "X-Amz-Signature" not in f"{row}{shown.text}"
    answer = ci.get(str(row["download_url"]), token)
    signed = answer.headers["location"]
    assert (answer.status_code, answer.content) == (303, b"")
    assert signed.startswith(f"http://127.0.0.1:{s3_server.port}/{bucket}/runs/TestResults/")
    assert "X-Amz-Expires=300&" in signed
    assert httpx.get(signed).content == b"actual\n"
    httpx.delete(signed.partition("?")[0], headers={"Authorization": SIGNED})
    gone = ci.get(str(row["download_url"]), token)
    assert problem(gone) == (404, "not_found")
    assert "location" not in gone.headers


@pytest.mark.spec("CI-76", "CI-77")
def test_a_mirror_that_fails_does_not_refuse_a_report(open_ci: OpenCi, tmp_path: Path) -> None:
    ci = open_ci(CI_STORAGE_MIRROR_URL=f"file:{tmp_path / 'mirror'}")
    ci.person("ann")
    (tmp_path / "mirror").rmdir()
    (tmp_path / "mirror").write_text("no directory")
    found = claimed(ci, ci.test())
    upload(found, b"actual\n")
    assert artifact(ci, found, "actual_output")["storage_status"] == "degraded"


@pytest.mark.spec("CI-70", "CI-73")
def test_an_object_storage_that_does_not_answer_is_degraded(open_ci: OpenCi, bucket: str) -> None:
    for mirror, status in ((bucket, "ok"), ("no-such-bucket", "degraded")):
        ci = open_ci(CI_STORAGE_MIRROR_URL=f"s3://{mirror}/runs")
        body = ci.get("/system/health", ci.full_token("ann", Role.USER)).json()
        assert body["status"] == status
        parts = {part["name"]: part["status"] for part in body["dependencies"]}
        assert (parts["local_storage"], parts["object_storage"]) == ("ok", status)


@pytest.mark.spec("CI-78")
def test_a_row_that_names_another_path_opens_no_file(ci: Ci, tmp_path: Path) -> None:
    token = ci.full_token("ann", Role.USER)
    ci.test()
    run_id = ci.queued()
    (tmp_path / "files" / "secret.txt").write_text("secret")
    with ci.service.database.write() as connection:
        made = [
            artifacts.keep(connection, NewArtifact(run_id, "binary", f"f{number}", path, 6))
            for number, path in enumerate(("secret.txt", "../source", "/etc/passwd"))
        ]
    for artifact_id in made:
        assert problem(ci.get(f"/downloads/{artifact_id}", token)) == (404, "not_found")
    rows = ci.get(f"/runs/{run_id}/artifacts?type=binary", token).json()["data"]
    assert [(row["storage_status"], row["download_url"]) for row in rows] == [("missing", None)] * 3


@pytest.mark.spec("CI-6")
@pytest.mark.parametrize("url", ["", "file:", "ftp://host/x", "s3://", "s3:bucket", "ci-data"])
def test_a_storage_that_there_is_not_ends_the_start(url: str) -> None:
    with pytest.raises(ConfigurationError):
        open_files(url, "CI_STORAGE_URL")
