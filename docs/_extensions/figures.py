"""figures: shows the figures of lucid.plot in tutorials; those of pyplot sphinx-gallery finds itself."""

from __future__ import annotations

from typing import Any

__all__ = ["shown"]

SHOWN = "_is_in_a_tutorial"


def shown(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Saves the figures that a block of a tutorial made without pyplot, and returns the text that shows them."""
    from matplotlib.figure import Figure
    from sphinx_gallery.scrapers import figure_rst

    paths = []
    for thing in block_vars["example_globals"].values():
        # pyplot's figures have a number.
        if isinstance(thing, Figure) and not hasattr(thing, "number") and not hasattr(thing, SHOWN):
            setattr(thing, SHOWN, True)
            paths.append(next(block_vars["image_path_iterator"]))
            thing.savefig(paths[-1], dpi=100)
    return str(figure_rst(paths, gallery_conf["src_dir"]))


def _get_sg_image_scraper() -> Any:
    """What sphinx-gallery asks a module for that its configuration names."""
    return shown
