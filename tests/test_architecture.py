"""The import order of DESIGN, the absence of cycles, the size of files, tests beside code."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sktl"
FOLDERS = [
    "audio",
    "features",
    "datasets",
    "backbones",
    "embedding",
    "losses",
    "adaptation",
    "classifiers",
    "model_selection",
    "plotting",
]
MAX_LINES = 400
# Modules without a test file of their own, and why.
WITHOUT_TEST_FILE = {
    "sktl.exceptions": "names only",
    "sktl.datasets._base": "one-liners that each data set's tests go through",
}


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported_modules(name, source, is_package):
    """Modules of sktl that a source imports, at any depth; ``from package import module`` counts
    as the module."""
    package = name if is_package else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join([*parents, *filter(None, [node.module])]) if node.level else node.module
            targets = [
                child if (child := f"{base}.{alias.name}") in MODULES else base
                for alias in node.names
            ]
        else:
            continue
        yield from (target for target in targets if target.split(".")[0] == "sktl")


GRAPH = {
    name: set(imported_modules(name, path.read_text("utf-8"), path.name == "__init__.py"))
    for name, path in MODULES.items()
}


def rank(name):
    """Place of a module in the import order; files beside the folders come first."""
    folder = name.split(".")[1] if "." in name else ""
    return 1 + FOLDERS.index(folder) if (PACKAGE / folder).is_dir() and folder else 0


def order_violations(graph):
    return [
        f"{name} imports {target}"
        for name, targets in graph.items()
        for target in sorted(targets)
        if rank(target) > rank(name)
    ]


def test_every_folder_has_a_place_in_the_import_order():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders <= set(FOLDERS)


def test_folders_import_only_from_those_before_them():
    assert order_violations(GRAPH) == []


def test_an_import_inside_a_function_counts():
    source = "def f():\n    from ..classifiers import FineTunedClassifier\n"
    graph = {"sktl.audio._read": set(imported_modules("sktl.audio._read", source, False))}
    assert order_violations(graph) == ["sktl.audio._read imports sktl.classifiers"]


def test_the_package_itself_imports_no_folder_and_no_module_imports_the_package():
    assert GRAPH["sktl"] == set()
    assert [name for name, targets in GRAPH.items() if "sktl" in targets] == []


def test_no_cycles_between_modules():
    graphlib.TopologicalSorter(GRAPH).prepare()


def test_a_cycle_through_the_package_of_a_module_is_found():
    relative = set(imported_modules("sktl.audio._read", "from . import load_audio", False))
    graph = {"sktl.audio": {"sktl.audio._read"}, "sktl.audio._read": relative}
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter(graph).prepare()


def test_no_file_is_longer_than_the_limit():
    files = [
        path for folder in ("sktl", "tests", "examples") for path in (ROOT / folder).rglob("*.py")
    ]
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in files
    }
    assert {path: n for path, n in lengths.items() if n > MAX_LINES} == {}


def test_every_module_has_a_test_file_of_its_name():
    missing = []
    for name, path in MODULES.items():
        if path.name == "__init__.py" or name in WITHOUT_TEST_FILE:
            continue
        folder = ROOT / "tests" / path.parent.relative_to(PACKAGE)
        if not list(folder.glob(f"test_{path.stem.lstrip('_')}*.py")):
            missing.append(name)
    assert missing == []


def test_exemptions_name_modules_that_exist():
    assert set(WITHOUT_TEST_FILE) <= set(MODULES)


def test_importing_sktl_loads_no_heavy_library():
    code = (
        "import sys, sktl; "
        "print(*{'torch', 'skorch', 'librosa', 'sklearn', 'scipy', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_importing_sktl_changes_no_configuration_of_scikit_learn():
    code = (
        "import sklearn; before = sklearn.get_config(); import sktl; "
        "[getattr(sktl, name) for name in sktl.__all__]; "
        "print(before == sklearn.get_config())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"]
