import hashlib
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sktl.datasets import _fsdd, fetch_fsdd
from sktl.exceptions import DownloadError

TINY = {f"{d}_ann_{t}.wav": f"{d} {t}".encode() for d in (0, 1) for t in (0, 4, 5, 10)}


@pytest.fixture
def tiny(monkeypatch):
    """Make the published data set one of eight files."""
    manifest = {name: hashlib.sha256(body).hexdigest() for name, body in TINY.items()}
    monkeypatch.setattr(_fsdd, "_manifest", lambda: manifest)


@pytest.fixture
def publish(monkeypatch, web, make_archive):
    """Serve an archive with the given members in place of the published one."""
    monkeypatch.setattr(_fsdd, "_URL", f"{web.url}/fsdd.tar.gz")

    def serve(members, size=None):
        (web.folder / "fsdd.tar.gz").write_bytes(make_archive(members, ".tar.gz")[:size])

    return serve


def upstream(files=TINY):
    return {f"free-spoken-digit-dataset-1.0.10/recordings/{k}": v for k, v in files.items()}


def fill(folder, files=TINY):
    folder.mkdir(parents=True)
    for name, body in files.items():
        (folder / name).write_bytes(body)


def test_the_real_data_set_is_found_and_described_by_its_file_names(fsdd_dir):
    digits = fetch_fsdd(data_home=fsdd_dir.parent, download_if_missing=False)
    assert len(digits.paths) == len(set(digits.paths)) == 3000
    assert digits.paths == digits.data
    assert list(digits.groups) == list(digits.speaker)
    for path, digit, speaker, take in zip(
        digits.paths, digits.target, digits.speaker, digits.take, strict=True
    ):
        assert Path(path).name == f"{digit}_{speaker}_{take}.wav"
    assert set(Counter(zip(digits.speaker, digits.target, strict=True)).values()) == {50}
    assert set(digits.speaker) == {"george", "jackson", "lucas", "nicolas", "theo", "yweweler"}


def test_the_official_test_set_is_takes_0_to_4(fsdd_dir):
    digits = fetch_fsdd(data_home=fsdd_dir.parent, download_if_missing=False)
    assert digits.test.dtype == bool
    assert digits.test.sum() == 300
    assert set(digits.take[digits.test]) == {0, 1, 2, 3, 4}
    assert set(digits.take[~digits.test]) == set(range(5, 50))


def test_the_default_folder_is_in_sktl_home(fsdd_dir):
    paths, target = fetch_fsdd(return_X_y=True, download_if_missing=False)
    assert Path(paths[0]).parent == fsdd_dir
    assert len(paths) == len(target) == 3000
    assert soundfile.info(paths[0]).samplerate == 8000


def test_one_changed_byte_in_the_real_data_set_is_noticed(fsdd_dir, tmp_path):
    folder = tmp_path / "fsdd"
    folder.mkdir()
    for file in fsdd_dir.iterdir():
        os.symlink(file, folder / file.name)
    damaged = folder / "3_theo_7.wav"
    body = bytearray(damaged.read_bytes())
    damaged.unlink()
    body[-1] ^= 1
    damaged.write_bytes(body)
    with pytest.raises(DownloadError, match=r"1 of the 3000 files .*\(wrong SHA-256\): 3_theo_7"):
        fetch_fsdd(data_home=tmp_path)
    assert len(fetch_fsdd(data_home=tmp_path, verify=False).paths) == 3000


@pytest.mark.parametrize("layout", ["fsdd", "fsdd/recordings"])
def test_both_layouts_are_found_without_a_download(tiny, tmp_path, layout):
    fill(tmp_path / layout)
    digits = fetch_fsdd(data_home=str(tmp_path), download_if_missing=False)
    assert [Path(path).name for path in digits.paths] == [
        f"{d}_ann_{t}.wav" for d in (0, 1) for t in (0, 4, 5, 10)
    ]
    assert Path(digits.paths[0]).parent == tmp_path / layout
    np.testing.assert_array_equal(digits.target, [0, 0, 0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(digits.test, [True, True, False, False] * 2)


def test_without_a_download_a_missing_data_set_is_named(tiny, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No Free Spoken Digit Dataset in .*fsdd") as error:
        fetch_fsdd(data_home=tmp_path, download_if_missing=False)
    assert "download_if_missing=True" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_missing_files_are_counted_and_named(tiny, tmp_path):
    fill(tmp_path / "fsdd", {"0_ann_0.wav": TINY["0_ann_0.wav"]})
    message = r"7 of the 8 files .* are missing: 0_ann_4\.wav, .* and 2 more\. Move that folder"
    with pytest.raises(DownloadError, match=message):
        fetch_fsdd(data_home=tmp_path)
    with pytest.raises(DownloadError, match="are missing"):
        fetch_fsdd(data_home=tmp_path, verify=False)


def test_a_download_is_unpacked_verified_and_kept(tiny, publish, tmp_path):
    publish(upstream())
    digits = fetch_fsdd(data_home=tmp_path / "home")
    for path in digits.paths:
        assert Path(path).read_bytes() == TINY[Path(path).name]
    assert [p.name for p in (tmp_path / "home" / "fsdd").iterdir()] == ["recordings"]
    again = fetch_fsdd(data_home=tmp_path / "home", download_if_missing=False)
    assert again.paths == digits.paths


def test_only_the_published_files_leave_the_archive(tiny, publish, tmp_path):
    root = "free-spoken-digit-dataset-1.0.10"
    publish(
        {
            f"{root}/README.md": b"x",
            f"{root}/link": "/etc/hostname",
            f"{root}/recordings/9_bob_0.wav": b"x",
            **upstream(),
        }
    )
    fetch_fsdd(data_home=tmp_path / "home")
    found = [p for p in (tmp_path / "home").rglob("*") if not p.is_dir()]
    assert {p.name for p in found} == set(TINY)
    assert not any(p.is_symlink() for p in found)


def test_an_archive_that_reaches_out_of_its_folder_leaves_nothing(tiny, publish, tmp_path):
    root = "free-spoken-digit-dataset-1.0.10"
    publish({**upstream(), f"{root}/recordings/../../../evil.wav": b"x"})
    with pytest.raises(DownloadError, match=r"holds .*evil\.wav', a path that leads out of it"):
        fetch_fsdd(data_home=tmp_path / "home")
    assert not (tmp_path / "home").exists()
    assert not list(tmp_path.rglob("evil.wav"))


def test_an_archive_with_a_damaged_file_leaves_nothing(tiny, publish, tmp_path):
    publish(upstream(TINY | {"1_ann_5.wav": b"other"}))
    with pytest.raises(DownloadError, match=r"not the published ones .*: 1_ann_5\.wav"):
        fetch_fsdd(data_home=tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_something_that_is_no_archive_leaves_nothing(tiny, publish, tmp_path):
    publish({})
    (tmp_path / "web" / "fsdd.tar.gz").write_bytes(b"<html>Sorry</html>")
    with pytest.raises(DownloadError, match="is not an archive that can be read"):
        fetch_fsdd(data_home=tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_a_truncated_archive_leaves_nothing(tiny, publish, tmp_path):
    publish(upstream({name: os.urandom(2000) for name in TINY}), size=8000)
    with pytest.raises(DownloadError, match="is not an archive that can be read"):
        fetch_fsdd(data_home=tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_a_failed_download_says_where_the_recordings_belong(tiny, publish, tmp_path):
    message = (
        r"the server answered 404.* way and unpack the archive's folder recordings into .*fsdd\."
    )
    with pytest.raises(DownloadError, match=message):
        fetch_fsdd(data_home=tmp_path / "home")


def test_a_folder_of_the_users_is_never_replaced(tiny, publish, tmp_path):
    publish(upstream())
    fill(tmp_path / "home" / "fsdd" / "recordings", {"mine.wav": b"mine"})
    with pytest.raises(OSError, match="recordings"):
        fetch_fsdd(data_home=tmp_path / "home")
    assert (tmp_path / "home" / "fsdd" / "recordings" / "mine.wav").read_bytes() == b"mine"
