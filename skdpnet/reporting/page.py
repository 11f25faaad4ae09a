"""Filling in the template: one HTML file with its style and its script inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from importlib.resources import files

from skdpnet import __version__
from skdpnet.reporting.contents import Contents
from skdpnet.reporting.views import Pixels, template_values
from skdpnet.utils.optional import import_optional

__all__ = ["check_templates", "render"]


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
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("skdpnet.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    values = template_values(contents, pixels)
    environment.filters["signed"] = _signed(values["data"]["decimals"])
    environment.filters["percent"] = _percent
    script = _asset("script.js")
    digest = hashlib.sha256(script.encode()).digest()
    return environment.get_template("page.html").render(
        values,
        title=title,
        model=model,
        version=__version__,
        style=_asset("style.css"),
        script=script,
        # The browser then runs no other script, whatever a class may be called.
        script_hash=base64.b64encode(digest).decode(),
        n_train=n_train,
        n_right_each=n_right_each,
    )


def _asset(name: str) -> str:
    file = files("skdpnet.reporting") / "templates" / name
    return file.read_text(encoding="utf-8")


def _signed(decimals: int) -> Callable[[float], str]:
    """Return a filter that writes a number with its sign; 0 has none."""

    def signed(value: float) -> str:
        text = f"{value:+.{decimals}f}"
        return text[1:] if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")

    return signed


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"
