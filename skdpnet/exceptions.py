"""Exceptions and warnings of this package that a user may want to catch."""

from __future__ import annotations

__all__ = [
    "BackboneUnavailableError",
    "DifferentNetworkWarning",
    "ImageError",
    "ModelFileError",
]


class ImageError(ValueError):
    """An image that cannot be used.

    Parameters
    ----------
    message : str
        What is wrong, starting with the item's number and name.
    index : int, optional
        Number of the item in the list the user passed, counted from 0.
    path : str, optional
        Path of the item; None if it is not a file.
    """

    # Both have defaults because an exception is created again from its message alone
    # when it is unpickled or passed on by torch's DataLoader.
    def __init__(
        self, message: str, index: int | None = None, path: str | None = None
    ) -> None:
        super().__init__(message)
        self.index = index
        self.path = path


class BackboneUnavailableError(RuntimeError):
    """The weights of a backbone could neither be found nor downloaded."""


class ModelFileError(ValueError):
    """A file is not a saved model that can be used; the message says which and why."""


class DifferentNetworkWarning(UserWarning):
    """A fitted estimator gets its maps from another network than it was fitted with."""
