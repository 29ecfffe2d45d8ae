import hashlib
from pathlib import Path

import numpy as np
import pytest

from sktl.datasets import _speech_commands, fetch_speech_commands
from sktl.exceptions import DownloadError

FILES = {
    "LICENSE": b"",
    "_background_noise_/pink_noise.wav": b"noise",
    "_background_noise_/README.md": b"",
    "no/aaaa1111_nohash_0.wav": b"1",
    "no/bbbb2222_nohash_0.wav": b"2",
    "up/cccc3333_nohash_0.wav": b"3",
    "yes/aaaa1111_nohash_0.wav": b"4",
    "yes/aaaa1111_nohash_1.wav": b"5",
    "yes/cccc3333_nohash_0.wav": b"6",
    "yes/.DS_Store": b"",
    "validation_list.txt": b"no/bbbb2222_nohash_0.wav\n",
    "testing_list.txt": b"up/cccc3333_nohash_0.wav\nyes/cccc3333_nohash_0.wav\n",
}
PLACE = "speech_commands/speech_commands_v0.02"


@pytest.fixture
def publish(monkeypatch, web, make_archive):
    """Serve an archive with the given files in place of the published one."""

    def serve(files, sha256=None):
        body = make_archive({f"./{name}": content for name, content in files.items()}, ".tar.gz")
        (web.folder / "a.tar.gz").write_bytes(body)
        entry = (f"{web.url}/a.tar.gz", sha256 or hashlib.sha256(body).hexdigest())
        monkeypatch.setitem(_speech_commands._ARCHIVES, 2, entry)

    return serve


def without(name):
    return {key: body for key, body in FILES.items() if key != name}


def names(commands):
    return ["/".join(Path(path).parts[-2:]) for path in commands.data]


def test_words_speakers_and_parts_come_from_names_and_lists(tmp_path, write_tree):
    root = write_tree(tmp_path / PLACE, FILES)
    commands = fetch_speech_commands(data_home=str(tmp_path), download_if_missing=False)
    assert names(commands) == [name for name in FILES if "_nohash_" in name]
    assert all(Path(path).is_file() for path in commands.data)
    assert commands.target_names == ["no", "up", "yes"]
    np.testing.assert_array_equal(commands.target, [0, 0, 1, 2, 2, 2])
    assert list(commands.subset) == ["train", "validation", "test", "train", "train", "test"]
    a, b, c = "aaaa1111", "bbbb2222", "cccc3333"
    assert list(commands.groups) == list(commands.speaker) == [a, b, c, a, a, c]
    np.testing.assert_array_equal(commands.test, commands.subset == "test")
    assert commands.paths == commands.data
    assert commands.background_noise == [str(root / "_background_noise_" / "pink_noise.wav")]
    assert "Warden" in commands.DESCR


@pytest.mark.parametrize("words", [("yes", "no"), ["no", "yes", "no"], {"yes", "no"}])
def test_some_words_are_kept(tmp_path, write_tree, words):
    write_tree(tmp_path / PLACE, FILES)
    commands = fetch_speech_commands(words=words, data_home=tmp_path)
    assert commands.target_names == ["no", "yes"]
    np.testing.assert_array_equal(commands.target, [0, 0, 1, 1, 1])
    assert list(commands.subset) == ["train", "validation", "train", "train", "test"]
    paths, target = fetch_speech_commands(words=words, data_home=tmp_path, return_X_y=True)
    assert paths == commands.data
    np.testing.assert_array_equal(target, commands.target)


def test_one_word_may_be_a_string(tmp_path, write_tree):
    write_tree(tmp_path / PLACE, FILES)
    assert fetch_speech_commands(words="yes", data_home=tmp_path).target_names == ["yes"]


@pytest.mark.parametrize(
    ("words", "message"), [(("yes", "oui"), r"words names \['oui'\]"), ((), "words is empty")]
)
def test_unknown_words_are_named_beside_those_there_are(tmp_path, write_tree, words, message):
    write_tree(tmp_path / PLACE, FILES)
    with pytest.raises(ValueError, match=rf"{message}; version 2 has no, up, yes\."):
        fetch_speech_commands(words=words, data_home=tmp_path)


def test_versions_have_folders_of_their_own(tmp_path, write_tree):
    write_tree(tmp_path / "speech_commands" / "speech_commands_v0.01", FILES)
    assert len(fetch_speech_commands(version=1, data_home=tmp_path).data) == 6
    with pytest.raises(FileNotFoundError, match=r"No Speech Commands in .*_v0\.02\. Call fetch"):
        fetch_speech_commands(data_home=tmp_path, download_if_missing=False)
    with pytest.raises(ValueError, match="version=3 is not published; give 1 or 2"):
        fetch_speech_commands(version=3, data_home=tmp_path)


def test_a_download_is_unpacked_and_kept(publish, tmp_path):
    publish(FILES)
    commands = fetch_speech_commands(data_home=tmp_path / "home")
    for name in names(commands):
        assert (tmp_path / "home" / PLACE / name).read_bytes() == FILES[name]
    folder = tmp_path / "home" / "speech_commands"
    assert [path.name for path in folder.iterdir()] == ["speech_commands_v0.02"]
    again = fetch_speech_commands(data_home=tmp_path / "home", download_if_missing=False)
    assert again.data == commands.data


@pytest.mark.parametrize(
    ("files", "sha256", "message"),
    [
        (FILES, "0" * 64, r"expected SHA-256 0+.* is 0+\) and unpack the archive into .*v0\.02\."),
        ({**FILES, "yes/link": "/etc/hostname"}, None, "'./yes/link', a link or device"),
        ({**FILES, "../../evil": b""}, None, "a path that leads out of it"),
        (without("testing_list.txt"), None, r"lacks testing_list\.txt"),
        (without("no/bbbb2222_nohash_0.wav"), None, "lacks 1 listed files: no/bbbb2222_nohash_0"),
    ],
)
def test_a_bad_download_leaves_nothing(publish, tmp_path, files, sha256, message):
    publish(files, sha256)
    with pytest.raises(DownloadError, match=message):
        fetch_speech_commands(data_home=tmp_path / "home")
    assert not (tmp_path / "home").exists()
    assert not list(tmp_path.rglob("evil"))


def test_a_copy_without_recordings_is_named(tmp_path, write_tree):
    write_tree(tmp_path / PLACE, {"validation_list.txt": b"", "testing_list.txt": b""})
    with pytest.raises(DownloadError, match=r"lacks recordings\. Move that folder away"):
        fetch_speech_commands(data_home=tmp_path)


def test_the_real_archives_are_pinned():
    for version, (url, sha256) in _speech_commands._ARCHIVES.items():
        assert url.startswith("https://")
        assert url.endswith(f"v0.0{version}.tar.gz")
        assert len(sha256) == 64


@pytest.mark.parametrize(("version", "word"), [(2, "yess"), (1, "visual")])
def test_unknown_words_are_named_before_anything_is_downloaded(tmp_path, version, word):
    with pytest.raises(ValueError, match=rf"words names \['{word}'\]; version {version} has b"):
        fetch_speech_commands(words=("yes", word), version=version, data_home=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("version", "count"), [(1, 30), (2, 35)])
def test_as_many_words_are_published_as_the_paper_says(version, count):
    assert len(_speech_commands._published(version)) == count
