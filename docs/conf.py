"""The configuration of the documentation site, which `make docs` builds with Sphinx."""

import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "lucid"
author = "The lucid developers"
project_copyright = author

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "docstrings",
    "history",
    "reference",
    "repository",
]
exclude_patterns = ["tutorials/*.py", "tutorials/*.ipynb", "sg_execution_times.rst", "tutorials/sg_execution_times.rst"]
templates_path: list[str] = []

myst_heading_anchors = 4  # links such as export.md#lowerings
myst_enable_extensions = ["colon_fence", "fieldlist"]

# Docstrings name things in single backquotes; those that Sphinx knows become links.
default_role = "py:obj"
autodoc_typehints = "none"  # the signature of an op speaks of arrays, since its forward computes with them
autodoc_member_order = "groupwise"
autodoc_inherit_docstrings = False
toc_object_entries = False  # each page repeats the table of contents
autosummary_generate = False  # `reference` writes the pages
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Shape"]

sphinx_gallery_conf = {
    "examples_dirs": "../examples/tutorials",
    "gallery_dirs": "tutorials",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "image_scrapers": ("matplotlib", "figures"),
    "capture_repr": (),  # what is printed, and no more
    "download_all_examples": False,
    "min_reported_time": 1e9,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
}
# Sphinx pickles its configuration, which holds functions of sphinx-gallery's.
suppress_warnings = ["config.cache"]
warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")

html_theme = "furo"
html_title = "lucid"
html_favicon = "_static/lucid.svg"
html_static_path = ["_static"]
html_css_files = ["lucid.css"]
html_copy_source = False
html_show_sphinx = False
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
