import hashlib
import os
import stat
import tarfile
import zipfile

import pytest

from sktl.datasets import _archive
from sktl.datasets._archive import fetch_archive, unpack
from sktl.exceptions import DownloadError

SUFFIXES = [".zip", ".tar.gz"]
GOOD = {"top/a.wav": b"a" * 5000, "top/deep/b.wav": b"b"}


@pytest.fixture(params=SUFFIXES)
def suffix(request):
    return request.param


@pytest.fixture
def unpacked(tmp_path, make_archive):
    """Unpack an archive of the given members; return the folder."""

    def run(members, suffix, **options):
        archive, folder = tmp_path / "box" / f"archive{suffix}", tmp_path / "box" / "out"
        folder.mkdir(parents=True)
        archive.write_bytes(make_archive(members, suffix))
        unpack(archive, folder, "https://a.invalid/archive", **options)
        return folder

    return run


@pytest.fixture
def fetch(web, tmp_path, make_archive):
    """Serve an archive and fetch it; `size` cuts it off."""

    def run(members, suffix=".zip", *, size=None, **options):
        (web.folder / f"a{suffix}").write_bytes(make_archive(members, suffix)[:size])
        options = {"by_hand": "ask a friend", "check": lambda folder: None} | options
        fetch_archive(f"{web.url}/a{suffix}", tmp_path / "home" / "set", **options)
        return tmp_path / "home" / "set"

    return run


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def outside(tmp_path):
    """Everything that is neither served nor the archive itself."""
    return {p.name for p in tmp_path.rglob("*")} - {"web", "box", "out", "home"}


def test_files_are_unpacked_at_their_paths(unpacked, suffix):
    assert files(unpacked(GOOD, suffix)) == GOOD


def test_a_leading_dot_and_folders_are_nothing_special(unpacked):
    members = [("./", (tarfile.DIRTYPE, "")), ("./top", (tarfile.DIRTYPE, "")), ("./top/a", b"a")]
    assert files(unpacked(members, ".tar.gz")) == {"top/a": b"a"}


def test_a_file_may_be_renamed_or_left_out(unpacked, suffix):
    folder = unpacked(
        GOOD, suffix, place=lambda path: None if "deep" in path else f"x/{os.path.basename(path)}"
    )
    assert files(folder) == {"x/a.wav": GOOD["top/a.wav"]}


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "top/../../evil",
        "/evil",
        "//evil",
        "..\\evil",
        "top\\..\\..\\evil",
        "\\evil",
        "C:\\evil",
        "c:evil",
        "a.wav:evil",
    ],
)
@pytest.mark.parametrize("wanted", [True, False])
def test_a_path_that_leads_out_is_refused_wanted_or_not(unpacked, suffix, tmp_path, name, wanted):
    members = {name: b"evil"}
    place = {} if wanted else {"place": lambda path: None}
    with pytest.raises(DownloadError, match=r"evil', a path that leads out of it"):
        unpacked(members, suffix, **place)
    assert outside(tmp_path) == {f"archive{suffix}"}


def test_an_absolute_path_is_refused(unpacked, suffix, tmp_path):
    with pytest.raises(DownloadError, match="a path that leads out of it"):
        unpacked({str(tmp_path / "evil"): b"evil"}, suffix)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
)
def test_links_and_devices_in_a_tar_are_refused(unpacked, tmp_path, kind):
    with pytest.raises(DownloadError, match="'top/odd', a link or device"):
        unpacked([("top/odd", (kind, "/etc")), ("top/odd/evil", b"evil")], ".tar.gz")
    assert not list((tmp_path / "box" / "out").iterdir())


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_are_refused(unpacked, tmp_path, kind):
    with pytest.raises(DownloadError, match="'top/odd', a link or device"):
        unpacked([("top/odd", (b"/etc", kind | 0o777)), ("top/odd/evil", b"evil")], ".zip")
    assert not list((tmp_path / "box" / "out").iterdir())


def test_modes_in_the_archive_do_not_matter(unpacked):
    folder = unpacked({"a": (b"a", stat.S_IFREG | stat.S_ISUID | 0o777)}, ".zip")
    assert not (folder / "a").stat().st_mode & (stat.S_ISUID | stat.S_IXUSR)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["top/a", "top/a/b"])
def test_a_name_given_twice_is_refused(unpacked, suffix, second):
    with pytest.raises(DownloadError, match=f"holds '{second}' twice"):
        unpacked([("top/a", b"a"), (second, b"b")], suffix)


def test_more_bytes_than_allowed_are_refused_before_they_are_written(unpacked, suffix, tmp_path):
    with pytest.raises(DownloadError, match="holds more than 5000 bytes"):
        unpacked({"a": b"a" * 5000, "b": b"b"}, suffix, max_bytes=5000)
    assert files(tmp_path / "box" / "out") == {"a": b"a" * 5000}


def test_a_damaged_member_is_refused(tmp_path, make_archive):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a", b"sound")
    archive.write_bytes(archive.read_bytes().replace(b"sound", b"noise"))
    with pytest.raises(DownloadError, match=r"not an archive that can be read .*CRC"):
        unpack(archive, tmp_path, "https://a.invalid/a.zip")


def test_a_fetched_archive_leaves_its_files_alone(fetch, suffix, tmp_path):
    assert files(fetch(GOOD, suffix)) == GOOD
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["set"]


@pytest.mark.parametrize(
    "members", [{**GOOD, "../evil": b"evil"}, {**GOOD, "top/deep/b.wav/x": b"evil"}]
)
def test_a_refused_archive_leaves_nothing(fetch, suffix, members, tmp_path):
    with pytest.raises(DownloadError, match="it was not kept"):
        fetch(members, suffix)
    assert outside(tmp_path) == {f"a{suffix}"}


@pytest.mark.parametrize("size", [0, 20, 70])
def test_a_truncated_archive_leaves_nothing(fetch, suffix, size, tmp_path):
    with pytest.raises(DownloadError, match="not an archive that can be read"):
        fetch(GOOD, suffix, size=size)
    assert outside(tmp_path) == {f"a{suffix}"}


def test_what_the_check_refuses_leaves_nothing(fetch, tmp_path):
    def check(folder):
        assert files(folder) == GOOD
        raise DownloadError("not whole")

    with pytest.raises(DownloadError, match="not whole"):
        fetch(GOOD, check=check, record=True)
    assert outside(tmp_path) == {"a.zip"}


def test_an_interrupted_unpacking_leaves_nothing(fetch, tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(_archive, "_copy", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(GOOD)
    assert outside(tmp_path) == {"a.zip"}


def test_another_hash_than_the_published_one_is_refused(fetch, tmp_path):
    with pytest.raises(DownloadError, match=r"expected SHA-256 0+, .* is 0+\) and ask a friend\."):
        fetch(GOOD, sha256="0" * 64)
    assert outside(tmp_path) == {"a.zip"}


def test_an_unpublished_hash_is_kept_and_expected_later(fetch, web, tmp_path):
    with pytest.warns(UserWarning, match="is kept in .*; compare it with that of a copy you trust"):
        folder = fetch(GOOD, record=True)
    record = tmp_path / "home" / "a.zip.sha256"
    seen = hashlib.sha256((web.folder / "a.zip").read_bytes()).hexdigest()
    assert record.read_text() == f"{seen}  a.zip\n"
    folder.rename(tmp_path / "first")
    assert files(fetch(GOOD, record=True)) == GOOD
    folder.rename(tmp_path / "second")
    with pytest.raises(DownloadError, match=rf"expected SHA-256 {seen}.*remove .*\.sha256 if"):
        fetch({"other": b""}, record=True)
    assert not folder.exists()


def test_a_faster_process_is_believed_once_its_files_are_checked(fetch, tmp_path, write_tree):
    mine = write_tree(tmp_path / "home" / "set", {"mine": b"mine"})
    seen = []
    fetch(GOOD, check=lambda folder: seen.append(folder))
    assert seen[-1] == mine
    assert files(mine) == {"mine": b"mine"}


def test_a_file_in_place_of_the_folder_stays(fetch, tmp_path, write_tree):
    write_tree(tmp_path / "home", {"set": b"mine"})
    with pytest.raises(OSError, match="set"):
        fetch(GOOD)
    assert files(tmp_path / "home") == {"set": b"mine"}
