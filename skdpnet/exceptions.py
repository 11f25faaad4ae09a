"""Exceptions and warnings of this package that a user may want to catch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = [
    "BackboneUnavailableError",
    "DifferentNetworkWarning",
    "ImageError",
    "MissingPackageError",
    "ModelFileError",
]


class ImageError(ValueError):
    """One or more images that cannot be used.

    Parameters
    ----------
    message : str
        What is wrong, starting with the item's number and name; of several images, a
        line for each.
    index : int, optional
        Number of the (first) item in the list the user passed, counted from 0.
    path : str, optional
        Path of the (first) item; None if it is not a file.
    errors : sequence of ImageError, default=()
        The errors of several images, in the order of their items.
    """

    # All have defaults because an exception is created again from its message alone
    # when it is unpickled or passed on by torch's DataLoader.
    def __init__(
        self,
        message: str,
        index: int | None = None,
        path: str | None = None,
        errors: Sequence[ImageError] = (),
    ) -> None:
        super().__init__(message)
        self.index = index
        self.path = path
        self._errors = tuple(errors)

    @property
    def errors(self) -> tuple[ImageError, ...]:
        """The error of each image that cannot be used, in the order of the items."""
        return self._errors or (self,)

    @classmethod
    def of_all(cls, errors: Iterable[ImageError], n_images: int) -> ImageError:
        """Make the error of all images that cannot be used.

        Parameters
        ----------
        errors : iterable of ImageError
            The error of each of these images, at least one, in any order.
        n_images : int
            How many images there are, good and bad ones.

        Returns
        -------
        ImageError
            The error itself if there is just one.
        """
        found = sorted(errors, key=lambda error: error.index or 0)
        first = found[0]
        if len(found) == 1:
            return first
        lines = [f"{len(found)} of {n_images} images cannot be used:", *map(str, found)]
        return cls("\n".join(lines), first.index, first.path, found)


class BackboneUnavailableError(RuntimeError):
    """The weights of a backbone could neither be found nor downloaded."""


class MissingPackageError(ImportError):
    """A package that this function needs is missing; the message says how to get it."""


class ModelFileError(ValueError):
    """A file is not a saved model that can be used; the message says which and why."""


class DifferentNetworkWarning(UserWarning):
    """A fitted estimator gets its maps from another network than it was fitted with."""
