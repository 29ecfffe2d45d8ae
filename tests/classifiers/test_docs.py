"""The shared documentation reaches every classifier, and is in step with its parameters."""

import inspect
import re

import pytest
from sklearn.linear_model import LogisticRegression

import sktl.classifiers
from sktl.classifiers._docs import with_shared_docs

CLASSES = [getattr(sktl.classifiers, name) for name in sktl.classifiers.__all__]
REQUIRED = {"teacher": LogisticRegression()}


def documented(cls, section):
    doc = inspect.getdoc(cls)
    body = doc.split(f"{section}\n{'-' * len(section)}\n")[1].split("\n\n")[0]
    return dict(re.findall(r"^(\w+) : (.*)$", body, re.M))


@pytest.mark.parametrize("cls", CLASSES)
def test_every_parameter_is_documented_in_order_with_its_default(cls):
    described = documented(cls, "Parameters")
    parameters = inspect.signature(cls).parameters
    assert list(described) == list(parameters)
    for name, parameter in parameters.items():
        if name in REQUIRED:
            assert "default" not in described[name]
            continue
        stated = described[name].split("default=")[1].strip('"')
        if isinstance(parameter.default, float):
            assert float(stated) == parameter.default, name
        else:
            assert stated == str(parameter.default), name


@pytest.mark.parametrize("cls", CLASSES)
def test_every_attribute_of_a_fit_is_documented(cls, blobs):
    required = {k: v for k, v in REQUIRED.items() if k in inspect.signature(cls).parameters}
    fitted = cls(**required, max_epochs=1, random_state=0).fit(*blobs)
    learned = {name for name in vars(fitted) if name.endswith("_") and not name.startswith("_")}
    assert learned <= set(documented(cls, "Attributes"))


def test_placeholders_are_filled_and_indentation_is_kept():
    class Documented:
        """Short.

        Parameters
        ----------
        {backbone}
        {training}

        Attributes
        ----------
        {attributes}
        """

    doc = with_shared_docs(Documented).__doc__
    assert "{" not in doc.replace('{"', "")
    lines = doc.splitlines()
    assert lines[0] == "Short."
    assert next(line for line in lines if "frozen_layers : " in line).startswith("    frozen")
