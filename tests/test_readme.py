"""The README's code runs, and its commands are the ones that CI runs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def test_python_code_prints_what_the_readme_says(capsys):
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    printed = [float(number) for number in re.findall(r"[01]\.\d+", capsys.readouterr().out)]
    (said,) = re.findall(r"^It prints ([\d.]+) and ([\d.]+)\.$", README, re.MULTILINE)
    # Processors round differently, and 50 epochs carry it on.
    assert printed == pytest.approx([float(number) for number in said], abs=0.1)


@pytest.mark.parametrize("name", ["quickstart", "tests"])
def test_command_has_the_mark_that_ci_looks_for(name):
    assert re.search(rf"^<!-- {name} -->\n```sh\npython3.11 -m venv .venv", README, re.MULTILINE)
    assert f"run_readme_command {name}" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []
