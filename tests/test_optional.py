"""Optional imports, and the error of one that is missing."""

import sys

import pytest

from sktl._optional import import_optional


def test_what_is_there_is_imported():
    assert import_optional("json.decoder", "plot", "Reading").JSONDecoder


def test_the_error_names_the_package_the_purpose_and_the_extra():
    with pytest.raises(ImportError) as caught:
        import_optional("no_such_package.part", "image", "The torchvision backbone")
    assert str(caught.value) == (
        "The torchvision backbone needs 'no_such_package', which is not installed or does not "
        "load here (No module named 'no_such_package'). "
        "Install it with: pip install 'sktl[image]'."
    )
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_package_that_fails_to_load_says_why(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("raise ImportError('libfoo.so is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=r"does not load here \(libfoo.so is missing\)"):
        import_optional("broken_package", "plot", "A display")
    assert "broken_package" not in sys.modules
