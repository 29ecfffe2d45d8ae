"""Configuration of the documentation."""

import inspect
import os

os.environ.setdefault("MPLBACKEND", "Agg")

import sktl

project = "sktl"
author = "sktl contributors"
copyright = "sktl contributors"
version = release = sktl.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
default_role = "literal"
smartquotes = False

autodoc_typehints = "none"
autodoc_default_options = {"members": True, "inherited-members": "Module, OSError, UserWarning"}
numpydoc_show_class_members = False
myst_heading_anchors = 2

# Examples that take more than a minute are rendered, not run.
SLOW_EXAMPLES = ["new_speaker", "distillation"]
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": rf"/plot_(?!{'|'.join(SLOW_EXAMPLES)})",
    "download_all_examples": False,
    "show_memory": False,
    "abort_on_example_error": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "sktl"
html_theme_options = {"show_prev_next": False, "navigation_with_keys": False}


def skip_member(app, what, name, obj, skip, options):
    """Leave out what scikit-learn and torch document themselves."""
    module = getattr(inspect.unwrap(obj), "__module__", None) or "sktl"
    return skip or not module.startswith("sktl")


def setup(app):
    app.connect("autodoc-skip-member", skip_member)
