from pathlib import Path

import numpy as np
import pytest

from sktl.datasets import _esc, fetch_esc50, load_esc10
from sktl.exceptions import DownloadError

HEADER = "filename,fold,target,category,esc10,src_file,take\n"
ROWS = [
    "5-9032-A-0.wav,5,0,dog,True,9032,A",
    "1-100032-A-0.wav,1,0,dog,True,100032,A",
    "1-100038-A-14.wav,1,14,chirping_birds,False,100038,A",
    "2-117271-B-41.wav,2,41,chainsaw,True,117271,B",
]


def esc50(rows=ROWS):
    audio = {f"audio/{row.partition(',')[0]}": b"wav" for row in rows}
    return {"meta/esc50.csv": (HEADER + "\n".join(rows) + "\n").encode(), **audio}


def upstream(files):
    return {f"ESC-50-master/{name}": body for name, body in files.items()}


@pytest.fixture
def publish(monkeypatch, web, make_archive):
    """Serve an archive with the given files in place of the published one."""
    monkeypatch.setattr(_esc, "_URL", f"{web.url}/master.zip")
    return lambda files: (web.folder / "master.zip").write_bytes(make_archive(files, ".zip"))


def names(sounds):
    return [Path(path).name for path in sounds.data]


@pytest.mark.parametrize("place", ["esc50", "esc50/ESC-50-master"])
def test_esc50_is_found_and_described_by_its_table(tmp_path, write_tree, place):
    write_tree(tmp_path / place, esc50())
    sounds = fetch_esc50(data_home=str(tmp_path), download_if_missing=False)
    assert sounds.data[0] == str(tmp_path / place / "audio" / "1-100032-A-0.wav")
    assert sounds.paths == sounds.data
    assert names(sounds) == [
        "1-100032-A-0.wav",
        "1-100038-A-14.wav",
        "2-117271-B-41.wav",
        "5-9032-A-0.wav",
    ]
    assert sounds.target_names == ["dog", "chirping_birds", "chainsaw"]
    np.testing.assert_array_equal(sounds.target, [0, 1, 2, 0])
    np.testing.assert_array_equal(sounds.groups, [1, 1, 2, 5])
    np.testing.assert_array_equal(sounds.esc10, [True, False, True, True])
    assert list(sounds.recording) == ["100032", "100038", "117271", "9032"]
    assert list(sounds.take) == ["A", "A", "B", "A"]
    assert "must use them" in sounds.DESCR


def test_the_numbers_of_all_fifty_classes_are_the_published_ones(tmp_path, write_tree):
    rows = [f"1-{9 - k % 10}-A-{k}.wav,1,{k},c{k:02},False,{9 - k % 10},A" for k in range(50)]
    write_tree(tmp_path / "esc50", esc50(rows))
    sounds = fetch_esc50(data_home=tmp_path)
    assert sounds.target_names == [f"c{k:02}" for k in range(50)]
    for path, target in zip(sounds.data, sounds.target, strict=True):
        assert path.endswith(f"-{target}.wav")


def test_a_download_is_unpacked_and_kept(publish, tmp_path):
    publish(upstream({**esc50(), "tests/test.py": b"", "README.md": b"read"}))
    with pytest.warns(UserWarning, match="SHA-256"):
        sounds = fetch_esc50(data_home=tmp_path / "home")
    folder = tmp_path / "home" / "esc50"
    assert {p.name for p in folder.iterdir()} == {"ESC-50-master", "master.zip.sha256"}
    root = {p.name for p in (folder / "ESC-50-master").iterdir()}
    assert root == {"README.md", "audio", "meta"}
    again, target = fetch_esc50(
        data_home=tmp_path / "home", download_if_missing=False, return_X_y=True
    )
    assert again == sounds.data
    np.testing.assert_array_equal(target, sounds.target)


def test_a_download_that_is_not_whole_leaves_nothing(publish, tmp_path):
    files = esc50()
    del files["audio/1-100032-A-0.wav"]
    publish(upstream(files))
    with pytest.raises(DownloadError, match=r"1 of the 4 files .* are missing: 1-100032-A-0\.wav"):
        fetch_esc50(data_home=tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_an_archive_of_something_else_leaves_nothing(publish, tmp_path):
    publish({"other/file": b"x"})
    with pytest.raises(DownloadError, match=r"lacks meta/esc50\.csv"):
        fetch_esc50(data_home=tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_a_failed_download_says_where_the_archive_belongs(publish, tmp_path):
    with pytest.raises(
        DownloadError, match=r"answered 404.* another way and unpack the archive into .*esc50\."
    ):
        fetch_esc50(data_home=tmp_path)


def test_without_a_download_a_missing_esc50_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No ESC-50 in .*esc50\. Call fetch_esc50 with"):
        fetch_esc50(data_home=tmp_path, download_if_missing=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, r"lacks meta/esc50\.csv"),
        (b"", "lacks the columns filename, fold, target, category, esc10 and 2 more"),
        (b"filename,fold,target,category,src_file,take\n", "lacks the columns esc10"),
        (HEADER.encode(), "lacks rows"),
    ],
)
def test_a_damaged_copy_is_named_and_not_downloaded_over(tmp_path, write_tree, table, message):
    files = esc50() | {"meta/esc50.csv": table}
    write_tree(tmp_path / "esc50", {k: v for k, v in files.items() if v is not None})
    with pytest.raises(DownloadError, match=rf"{message}\. Move that folder away"):
        fetch_esc50(data_home=tmp_path)


def test_esc10_is_part_of_esc50(tmp_path, write_tree):
    write_tree(tmp_path / "esc50", esc50())
    sounds = load_esc10(data_home=tmp_path)
    assert names(sounds) == ["1-100032-A-0.wav", "2-117271-B-41.wav", "5-9032-A-0.wav"]
    np.testing.assert_array_equal(sounds.target, [0, 7, 0])
    assert [sounds.target_names[i] for i in sounds.target] == ["dog", "chainsaw", "dog"]
    np.testing.assert_array_equal(sounds.groups, [1, 2, 5])


def test_esc10_of_its_own_release_comes_first_and_is_the_same(tmp_path, write_tree):
    write_tree(tmp_path / "esc50", esc50())
    files = {f"{name}/1-7-A.ogg": b"ogg" for name in _esc._ESC10.values()}
    files |= {"001 - Dog bark/5-9032-A.ogg": b"ogg", "001 - Dog bark/._5-9032-A.ogg": b"x"}
    write_tree(tmp_path / "esc10", files)
    sounds = load_esc10(data_home=tmp_path)
    assert names(sounds) == ["1-7-A.ogg"] * 10 + ["5-9032-A.ogg"]
    classes = {Path(p).parent.name: t for p, t in zip(sounds.data, sounds.target, strict=True)}
    assert classes == {name: i for i, name in enumerate(_esc._ESC10.values())}
    paths, target = load_esc10(data_home=tmp_path, return_X_y=True)
    assert paths == sounds.data
    np.testing.assert_array_equal(target, sounds.target)


def test_classes_of_esc10_without_files_are_named(tmp_path, write_tree):
    write_tree(tmp_path / "esc10", {"001 - Dog bark/1-7-A.ogg": b"", "002 - Rain/x.ogg": b""})
    with pytest.raises(FileNotFoundError, match=r"in: 002 - Rain, 003 - Sea waves, .* and 4 more"):
        load_esc10(data_home=tmp_path)


def test_without_any_copy_esc10_says_where_it_looked(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No ESC-10 in .*esc10 and no ESC-50 in .*esc50"):
        load_esc10(data_home=tmp_path)


def test_the_real_esc10_has_folds_that_keep_recordings_together(sktl_home):
    if not (sktl_home / "data" / "esc10").is_dir():
        pytest.skip(f"no ESC-10 in {sktl_home / 'data'}")
    sounds = load_esc10(data_home=sktl_home / "data")
    assert len(set(sounds.data)) == 400
    counts = np.zeros((10, 6), dtype=int)
    np.add.at(counts, (sounds.target, sounds.groups), 1)
    np.testing.assert_array_equal(counts, [[0, 8, 8, 8, 8, 8]] * 10)
    folds = {}
    for recording, fold in zip(sounds.recording, sounds.groups, strict=True):
        assert folds.setdefault(recording, fold) == fold
    assert "dog" in sounds.target_names[sounds.target[0]]
    assert Path(sounds.data[0]).parent.name == "001 - Dog bark"
