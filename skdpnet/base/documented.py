"""The link from an estimator to its page on the site."""

from __future__ import annotations

__all__ = ["Documented"]


class Documented:
    """Base of the estimators that have a page on the site of the package.

    scikit-learn's HTML representation links to it; those of classes outside the package
    have no link.
    """

    _doc_link_module = "skdpnet"
    _doc_link_template = (
        "https://skdpnet.github.io/skdpnet/generated/skdpnet.{estimator_name}.html"
    )
