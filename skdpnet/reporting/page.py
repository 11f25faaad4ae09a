"""Filling in the template: one HTML file with its style and its script inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING

from skdpnet import __version__
from skdpnet.reporting.contents import Contents
from skdpnet.reporting.views import Pixels, template_values
from skdpnet.utils.optional import import_optional

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["asset", "check_templates", "environment", "render", "signed"]


def check_templates() -> None:
    """Check that pages can be written, before anything is computed for one.

    Raises
    ------
    skdpnet.exceptions.MissingPackageError
        If jinja2 is not installed.
    """
    import_optional("jinja2", "writing a page", "jinja2")


def render(
    contents: Contents,
    pixels: Pixels,
    *,
    title: str,
    model: str,
    n_train: int,
    n_right_each: int,
) -> str:
    """Write the page.

    Parameters
    ----------
    contents : Contents
    pixels : Pixels
    title : str
    model : str
        One line about the model.
    n_train : int
        Number of images that the crops were chosen from.
    n_right_each : int
        Largest number of rightly classified images shown of a class.

    Returns
    -------
    str
        HTML.
    """
    templates = environment()
    values = template_values(contents, pixels)
    templates.filters["signed"] = signed(values["data"]["decimals"])
    script = asset("script.js")
    digest = hashlib.sha256(script.encode()).digest()
    return templates.get_template("page.html").render(
        values,
        title=title,
        model=model,
        version=__version__,
        style=asset("style.css"),
        script=script,
        # The browser then runs no other script, whatever a class may be called.
        script_hash=base64.b64encode(digest).decode(),
        n_train=n_train,
        n_right_each=n_right_each,
    )


def environment() -> Environment:
    """Return the templates of the pages: whatever they show is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("skdpnet.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["percent"] = _percent
    return templates


def asset(name: str) -> str:
    """Return the text of a file beside the templates."""
    file = files("skdpnet.reporting") / "templates" / name
    return file.read_text(encoding="utf-8")


def signed(decimals: int) -> Callable[[float], str]:
    """Return a filter that writes a number with its sign; 0 has none."""

    def write(value: float) -> str:
        text = f"{value:+.{decimals}f}"
        return text[1:] if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")

    return write


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"
