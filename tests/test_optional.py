import json

import pytest

from sktl._optional import import_optional


def test_an_installed_module_is_returned():
    assert import_optional("json", "plot", "Reading") is json


def test_a_missing_module_names_itself_its_purpose_and_the_extra():
    with pytest.raises(ImportError, match=r"Plotting needs 'no_such'.*pip install 'sktl\[plot\]'"):
        import_optional("no_such.part", "plot", "Plotting")
