from pathlib import Path

import numpy as np
import pytest

from sktl.datasets import load_audio_folder


@pytest.fixture
def tree(tmp_path):
    """Make a folder of empty files."""

    def make(*names, folders=()):
        for name in names:
            file = tmp_path / "sounds" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        for name in folders:
            (tmp_path / "sounds" / name).mkdir(parents=True)
        return tmp_path / "sounds"

    return make


def relative(data, root):
    return [Path(path).relative_to(root).as_posix() for path in data.paths]


def test_sub_folders_are_classes(tree):
    root = tree("dog/2.wav", "cat/b.flac", "cat/a.WAV", "dog/deep/er/1.ogg")
    sounds = load_audio_folder(root)
    assert relative(sounds, root) == ["cat/a.WAV", "cat/b.flac", "dog/2.wav", "dog/deep/er/1.ogg"]
    assert all(type(path) is str for path in sounds.paths)
    assert sounds.target_names == ["cat", "dog"]
    np.testing.assert_array_equal(sounds.target, [0, 0, 1, 1])
    np.testing.assert_array_equal(sounds.sample_domain, [1, 1, 1, 1])
    assert sounds.domain_names == {1: "source"}


def test_hidden_and_other_files_are_passed_over(tree):
    root = tree("a/1.wav", "a/notes.txt", "a/._1.wav", "a/.git/2.wav", ".cache/3.wav", "README.md")
    sounds = load_audio_folder(str(root))
    assert relative(sounds, root) == ["a/1.wav"]
    assert sounds.target_names == ["a"]


@pytest.mark.parametrize("extensions", [".raw", "raw", "RAW", (".raw",), ["raw", ".snd"]])
def test_other_extensions_may_be_named(tree, extensions):
    root = tree("a/1.wav", "a/2.raw", "b/3.Raw")
    assert relative(load_audio_folder(root, extensions=extensions), root) == ["a/2.raw", "b/3.Raw"]


def test_domains_below_the_classes(tree):
    root = tree("a/home/1.wav", "a/street/2.wav", "b/car/3.wav", "b/home/4.wav")
    sounds = load_audio_folder(root, domain="below", target_domains=["street", "car"])
    assert sounds.target_names == ["a", "b"]
    np.testing.assert_array_equal(sounds.target, [0, 0, 1, 1])
    assert sounds.domain_names == {1: "home", -2: "car", -3: "street"}
    np.testing.assert_array_equal(sounds.sample_domain, [1, -3, -2, 1])


def test_domains_above_the_classes(tree):
    root = tree("home/a/1.wav", "home/b/2.wav", "street/a/3.wav")
    sounds = load_audio_folder(root, domain="above", target_domains="street")
    assert sounds.target_names == ["a", "b"]
    np.testing.assert_array_equal(sounds.target, [0, 1, 0])
    assert sounds.domain_names == {1: "home", -2: "street"}
    np.testing.assert_array_equal(sounds.sample_domain, [1, 1, -2])


def test_domains_from_a_callable(tree):
    root = tree("a/1_phone.wav", "a/2_studio.wav", "b/3_phone.wav")
    seen = []

    def microphone(path):
        seen.append(path)
        return path.stem.partition("_")[2]

    sounds = load_audio_folder(root, domain=microphone, target_domains={"phone"})
    assert all(isinstance(path, Path) for path in seen)
    assert sounds.domain_names == {1: "studio", -2: "phone"}
    np.testing.assert_array_equal(sounds.sample_domain, [-2, 1, -2])
    np.testing.assert_array_equal(sounds.target, [0, 0, 1])


def test_without_target_domains_all_are_distinct_sources(tree):
    root = tree("a/x/1.wav", "a/y/2.wav", "b/x/3.wav")
    sounds = load_audio_folder(root, domain="below")
    assert sounds.domain_names == {1: "x", 2: "y"}
    np.testing.assert_array_equal(sounds.sample_domain, [1, 2, 1])


def test_a_linked_class_folder_counts(tree, tmp_path):
    root = tree("a/1.wav")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "2.wav").touch()
    (root / "b").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert load_audio_folder(root).target_names == ["a", "b"]


def test_real_recordings_are_listed(sktl_home):
    folder = sktl_home / "data" / "esc10"
    if not folder.is_dir():
        pytest.skip(f"no ESC-10 in {folder}")
    sounds = load_audio_folder(folder, domain=lambda path: path.name[0], target_domains="5")
    assert len(sounds.paths) == 400
    np.testing.assert_array_equal(np.bincount(sounds.target), [40] * 10)
    assert (sounds.sample_domain < 0).sum() == 80


def test_no_such_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*nowhere; give one with"):
        load_audio_folder(tmp_path / "nowhere")


def test_a_file_in_place_of_a_folder(tree):
    root = tree("a/1.wav")
    with pytest.raises(NotADirectoryError, match=r"1\.wav is a file; give a folder"):
        load_audio_folder(root / "a" / "1.wav")


def test_no_class_folders(tree):
    root = tree("1.wav", "2.wav")
    with pytest.raises(ValueError, match=r"sounds has no sub-folders; .* one sub-folder per class"):
        load_audio_folder(root)


def test_an_empty_class(tree):
    root = tree("a/1.wav", folders=["b"])
    with pytest.raises(ValueError, match=r"The class folder .*b has no audio files \(\.aif"):
        load_audio_folder(root)


def test_a_class_of_other_files_says_what_is_there(tree):
    root = tree("a/1.m4a", "a/2.txt")
    with pytest.raises(ValueError, match=r"has no audio files .*other kinds: \.m4a, \.txt"):
        load_audio_folder(root)


def test_audio_files_outside_the_folders_of_domains(tree):
    root = tree("a/home/1.wav", "a/2.wav")
    with pytest.raises(ValueError, match=r"that lie in no domain folder: 2\.wav; put them into"):
        load_audio_folder(root, domain="below")


def test_no_folders_of_domains(tree):
    root = tree("a/1.wav")
    with pytest.raises(ValueError, match=r"a has no sub-folders; .* one sub-folder per domain"):
        load_audio_folder(root, domain="below")


def test_an_empty_domain_folder(tree):
    root = tree("a/home/1.wav", folders=["a/street"])
    with pytest.raises(ValueError, match=r"The domain folder .*street has no audio files"):
        load_audio_folder(root, domain="below")


def test_an_unknown_way_of_telling_domains(tree):
    root = tree("a/1.wav")
    with pytest.raises(ValueError, match="domain='parent' is none of None, 'above', 'below'"):
        load_audio_folder(root, domain="parent")


def test_unknown_target_domains(tree):
    root = tree("a/home/1.wav")
    with pytest.raises(ValueError, match=r"names \['street'\], but the domains are \['home'\]"):
        load_audio_folder(root, domain="below", target_domains=["street"])


def test_target_domains_without_domains(tree):
    root = tree("a/home/1.wav")
    with pytest.raises(ValueError, match=r"target_domains=\['home'\] needs domain='above'"):
        load_audio_folder(root, target_domains="home")


@pytest.mark.parametrize("extensions", [(), "", ".", [None]])
def test_nonsensical_extensions(tree, extensions):
    root = tree("a/1.wav")
    with pytest.raises(ValueError, match="names no file types"):
        load_audio_folder(root, extensions=extensions)
