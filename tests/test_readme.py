"""The README's code runs, and its commands are the ones that CI runs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_python_code_runs_and_adaptation_pays(capsys):
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    plain, adapted = map(float, re.findall(r"[01]\.\d+", capsys.readouterr().out))
    assert adapted > plain


@pytest.mark.parametrize("name", ["quickstart", "tests"])
def test_command_has_the_mark_that_ci_looks_for(name):
    assert re.search(rf"^<!-- {name} -->\n```sh\npython3.11 -m venv .venv", README, re.MULTILINE)
    assert f"run_readme_command {name}" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []
