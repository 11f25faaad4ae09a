"""The names of an estimator's parts and of the columns of its descriptor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skdpnet.base.part_names import renamed, usual_names

__all__ = ["PartNaming"]


class PartNaming:
    """Give an estimator that has parts their names.

    Attributes
    ----------
    part_names_ : object ndarray of shape (P,)
        After `rename_parts` only.
    """

    part_classes_: np.ndarray
    part_names_: np.ndarray

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Return the names of the columns of the descriptor.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        object ndarray of shape (F,)
            Where each part has one number, the names of the parts.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.

        See Also
        --------
        get_part_names : The names of the parts.
        """
        return self.get_part_names()

    def get_part_names(self) -> np.ndarray:
        """Return the names of the parts.

        Returns
        -------
        object ndarray of shape (P,)
            ``<class>_part0``, ``<class>_part1`` and so on for the parts of a class;
            ``part0``, ``part1`` and so on for parts that classes share; or what
            `rename_parts` called them.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.

        See Also
        --------
        rename_parts : Give parts names of your own.
        """
        check_is_fitted(self)
        if hasattr(self, "part_names_"):
            return self.part_names_.copy()
        return self._usual_part_names()

    def rename_parts(self, names: Mapping[int | str, str]):
        """Give parts names of your own, which go wherever names of parts are shown.

        `get_part_names`, the columns of `set_output`, explanations, displays and the
        report use them, and `save` keeps them. The next `fit` learns other parts,
        and so forgets them.

        Parameters
        ----------
        names : mapping of int or str to str
            From a part's number, or its present name, to the new one.

        Returns
        -------
        self
            The estimator itself, changed in place, as after `fit`. If an error is
            raised, no name has changed.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        IndexError, ValueError
            If there is no such part, if a new name is blank, or if two parts would have
            the same name.
        TypeError
            If `names` is not a mapping to text.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skdpnet import SoftAssignParts
        >>> X, y = load_iris(return_X_y=True)
        >>> parts = SoftAssignParts("precomputed", n_parts_per_class=1).fit(X, y)
        >>> parts.rename_parts({0: "small petals"}).get_part_names().tolist()
        ['small petals', '1_part0', '2_part0']
        """
        self.part_names_ = renamed(names, self.get_part_names())
        return self

    def _usual_part_names(self) -> np.ndarray:
        """Return the names that parts have before they are renamed."""
        # A regressor has no classes.
        classes = getattr(self, "classes_", np.array([]))
        names = usual_names(self.part_classes_, classes)
        return np.array(names, dtype=object)
