"""Archives made to harm: larger than they look, endless, without sense."""

import gzip
import io
import random
import tarfile
import zipfile

import pytest

from sktl.datasets import _archive
from sktl.datasets._archive import fetch_archive, unpack
from sktl.exceptions import DownloadError

MB = 2**20


@pytest.fixture
def refused(tmp_path):
    """Unpack the bytes of an archive into a folder; return what the error says."""

    def run(content, suffix=".tar.gz", **options):
        archive, folder = tmp_path / f"a{suffix}", tmp_path / "out"
        archive.write_bytes(content)
        with pytest.raises(DownloadError) as caught:
            unpack(archive, folder, "https://a.invalid/a", **options)
        return str(caught.value)

    return run


def header(name="a", size=0, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def packed(*parts):
    return gzip.compress(b"".join([*parts, bytes(2 * tarfile.BLOCKSIZE)]))


@pytest.mark.parametrize(
    "kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK]
)
def test_a_header_that_would_fill_the_memory_is_not_read(refused, kind):
    content = packed(header(size=3 * MB, kind=kind), bytes(3 * MB), header())
    assert len(content) < 10_000
    assert "holds a header of 3145728 bytes" in refused(content)


def test_a_header_that_announces_terabytes_is_not_read(refused):
    assert "holds a header of" in refused(packed(header(size=2**42, kind=tarfile.XHDTYPE)))


def test_files_without_a_place_are_not_unpacked_without_end(refused):
    content = packed(header("b", size=50 * MB), bytes(50 * MB))
    assert len(content) < 100_000
    assert "holds more than 1048576 bytes" in refused(content, place=lambda _: None, max_bytes=MB)


def sparse(size):
    """Header of a file that is one hole of that size."""
    raw = bytearray(header(kind=tarfile.GNUTYPE_SPARSE))
    raw[483:495] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    raw[148:156] = b"%06o\0 " % (256 + sum(raw[:148]) + sum(raw[156:512]))
    return bytes(raw)


@pytest.mark.parametrize("large", [header(size=2**42), sparse(2**42)], ids=["plain", "sparse"])
def test_a_file_that_announces_terabytes_is_refused_before_it_is_written(refused, tmp_path, large):
    assert "more than 10000000000 bytes" in refused(packed(large))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("size", [-512, -1024, -2048, -(2**40)])
@pytest.mark.parametrize("wanted", [True, False])
def test_a_negative_size_does_not_lead_round_in_circles(refused, kind, size, wanted):
    place = {} if wanted else {"place": lambda _: None}
    message = refused(
        packed(header("first"), header("second", size, kind), header("third")), **place
    )
    assert "not kept" in message or "not an archive that can be read" in message


def test_more_files_than_any_data_set_has_are_refused(refused, make_archive, monkeypatch):
    monkeypatch.setattr(_archive, "_MAX_MEMBERS", 3)
    for suffix in (".zip", ".tar.gz"):
        content = make_archive({f"{suffix}/{i}": b"" for i in range(4)}, suffix)
        assert "holds more than 3 files" in refused(content, suffix)


def test_a_zip_that_lies_about_a_size_is_cut_off_there(refused, make_archive, tmp_path):
    content = bytearray(make_archive({"a": bytes(10 * MB)}, ".zip"))
    sizes = content.index(zipfile.stringCentralDir) + 24
    content[sizes : sizes + 4] = (1000).to_bytes(4, "little")
    assert "not an archive that can be read" in refused(bytes(content), ".zip")
    assert not (tmp_path / "out" / "a").exists() or (tmp_path / "out" / "a").stat().st_size <= 1000


def test_a_zip_that_asks_for_a_password_cannot_be_read(refused, make_archive):
    content = bytearray(make_archive({"a": b"a"}, ".zip"))
    for magic, place in ((zipfile.stringFileHeader, 6), (zipfile.stringCentralDir, 8)):
        content[content.index(magic) + place] |= 1
    assert "not an archive that can be read" in refused(bytes(content), ".zip")


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_damaged_archives_raise_one_kind_of_error_and_leave_nothing(
    suffix, make_archive, tmp_path, monkeypatch
):
    good = make_archive({f"folder/{i}.wav": bytes(range(200)) for i in range(5)}, suffix)
    if suffix == ".tar.gz":
        good = gzip.decompress(good)
    rng = random.Random(0)
    seen = []

    def deliver(url, path, **options):
        content = bytearray(good)
        for _ in range(rng.choice([1, 3, 30])):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(gzip.compress(content, 1) if suffix == ".tar.gz" else content)
        return "0" * 64

    monkeypatch.setattr(_archive, "fetch_file", deliver)
    for index in range(150):
        target = tmp_path / f"{index}" / "set"
        try:
            fetch_archive(f"https://a.invalid/a{suffix}", target, by_hand="", check=lambda _: None)
        except DownloadError as error:
            seen.append(error)
            assert not target.parent.exists()
    assert len(seen) > 20
    assert {path.name for path in tmp_path.iterdir()} <= {f"{index}" for index in range(150)}


def test_a_damaged_record_of_the_hash_lets_nothing_through(tmp_path):
    (tmp_path / "a.zip.sha256").write_text("")
    with pytest.raises(DownloadError, match=r"a\.zip\.sha256 holds no SHA-256"):
        fetch_archive(
            "https://a.invalid/a.zip",
            tmp_path / "set",
            by_hand="",
            check=lambda _: None,
            record=True,
        )


def test_a_guarded_stream_still_reads_ordinary_archives(make_archive, tmp_path):
    members = {f"{'deep/' * 60}{i}": bytes([i]) * 100_000 for i in range(30)}
    (tmp_path / "a.tar.gz").write_bytes(make_archive(members, ".tar.gz"))
    unpack(tmp_path / "a.tar.gz", tmp_path / "out", "https://a.invalid/a")
    with tarfile.open(fileobj=io.BytesIO(make_archive(members, ".tar.gz"))) as file:
        file.extractall(tmp_path / "expected", filter="data")
    for name in members:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()
