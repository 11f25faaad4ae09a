"""The method `explain` of classifiers that have parts."""

from __future__ import annotations

from skdpnet.explanations.contributions import explain
from skdpnet.explanations.explanation import Explanation

__all__ = ["ExplainMixin"]


class ExplainMixin:
    """Give a classifier that has parts a method `explain`."""

    def explain(self, image, class_=None, *, apply_exif: bool = False) -> Explanation:
        """Explain the score of an image for a class; see `skdpnet.explain`.

        Parameters
        ----------
        image : image, or array for ``backbone="precomputed"``
        class_ : label, default=None
            The class whose score is explained. None: the class of the largest score.
        apply_exif : bool, default=False
            Whether boxes are in pixels of the image with its EXIF orientation applied,
            as viewers show it, or of the image as it is stored.

        Returns
        -------
        Explanation

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, skdpnet.images.ImageError
            As `skdpnet.explain`.

        See Also
        --------
        skdpnet.explain_each : Explain many images.
        """
        return explain(self, image, class_, apply_exif=apply_exif)
