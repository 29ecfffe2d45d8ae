"""Every public name is documented, listed in the API page and, if an estimator, checked."""

import importlib
import importlib.util
import inspect
import re
from pathlib import Path

import pytest
from numpydoc.validate import validate
from sklearn.base import BaseEstimator

import sktl
from sktl.model_selection import DomainScorer

ROOT = Path(__file__).parents[1]
PACKAGES = [
    f"sktl.{path.parent.name}" for path in sorted((ROOT / "sktl").glob("*/__init__.py"))
] + ["sktl.exceptions"]
# What numpydoc must have nothing to say about.
PROSE = {
    "GL06": "unknown section",
    "GL07": "sections in the wrong order",
    "GL08": "no docstring",
    "PR02": "unknown parameters documented",
    "PR09": "description without a full stop",
    "SS03": "summary without a full stop",
}
SIGNATURE = {
    "PR01": "parameters not documented",
    "PR07": "parameter without a description",
    "RT01": "no Returns section",
}


def public_objects():
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            yield f"{package}.{name}", getattr(module, name)


PUBLIC = dict(public_objects())
# Scorers are objects that are called: their class is what has a signature.
CALLABLES = {
    path: item
    for path, item in PUBLIC.items()
    if callable(item) and not isinstance(item, DomainScorer)
}
ESTIMATORS = {
    path: item
    for path, item in PUBLIC.items()
    if inspect.isclass(item) and issubclass(item, BaseEstimator)
}


def written_here(function):
    return getattr(inspect.unwrap(function), "__module__", "").startswith("sktl.")


def own_methods(cls):
    """Public methods that a class or one of its bases in sktl defines."""
    static = {name: inspect.getattr_static(cls, name) for name in dir(cls) if name[0] != "_"}
    return [name for name, item in static.items() if inspect.isroutine(item) and written_here(item)]


METHODS = {
    f"{path}.{name}": path in ESTIMATORS
    for path, item in PUBLIC.items()
    if inspect.isclass(item)
    for name in own_methods(item)
}


def complaints(path, codes):
    return [message for code, message in validate(path)["errors"] if code in codes]


def names_in_api_page():
    module, names = None, []
    in_table = False
    for line in (ROOT / "docs" / "api.rst").read_text("utf-8").splitlines():
        if match := re.match(r"\.\. currentmodule:: (\S+)", line):
            module = match[1]
        elif line.startswith(".. autosummary::"):
            in_table = True
        elif line and not line.startswith(" "):
            in_table = False
        elif in_table and (match := re.match(r"\s+(\w+)$", line)):
            names.append(f"{module}.{match[1]}")
    return names


def default_instances():
    spec = importlib.util.spec_from_file_location("_common", ROOT / "tests" / "test_common.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ESTIMATORS


@pytest.mark.parametrize("name", sktl.__all__)
def test_lazy_name_loads(name):
    assert getattr(sktl, name) is not None


def test_star_import_gives_every_lazy_name():
    namespace = {}
    exec("from sktl import *", namespace)
    assert set(sktl.__all__) <= set(namespace)


def test_every_folder_is_a_lazy_name():
    assert {package.partition(".")[2] for package in PACKAGES} <= set(sktl.__all__)


def test_every_estimator_is_a_top_level_name():
    assert {cls.__name__ for cls in ESTIMATORS.values()} <= set(sktl.__all__)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        sktl.no_such_name  # noqa: B018


def test_every_public_name_is_in_the_api_page_once():
    assert sorted(names_in_api_page()) == sorted(PUBLIC)


def test_every_estimator_has_the_common_checks():
    checked = {type(estimator) for estimator in default_instances()}
    assert {path for path, cls in ESTIMATORS.items() if cls not in checked} == set()


@pytest.mark.parametrize("path", CALLABLES)
def test_docstring_of_a_name_matches_its_signature(path):
    item = CALLABLES[path]
    inherited = inspect.isclass(item) and not written_here(item.__init__)
    assert complaints(path, PROSE if inherited else PROSE | SIGNATURE) == []


@pytest.mark.parametrize("path", METHODS)
def test_docstring_of_a_method_matches_its_signature(path):
    assert complaints(path, PROSE | SIGNATURE if METHODS[path] else PROSE) == []


@pytest.mark.parametrize("path", ESTIMATORS)
def test_estimator_documents_an_example(path):
    assert ">>> " in inspect.getdoc(ESTIMATORS[path])


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_sorted_and_complete(package):
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    public = {
        name
        for name, item in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(item) or inspect.isfunction(item))
        and item.__module__.startswith(package)
    }
    assert public <= set(module.__all__)
