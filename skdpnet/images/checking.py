"""Finding the images of a list that cannot be used, before anything is computed."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from skdpnet.exceptions import ImageError
from skdpnet.images.bad_images import decoding_errors
from skdpnet.images.collection import as_images
from skdpnet.utils.cores import AUTO_WORKERS, decoding_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["check_images"]

_ERRORS = ("raise", "skip")


def check_images(
    X: Any, *, errors: str = "raise", num_workers: int | str = "auto"
) -> NDArray[np.intp]:
    """Find the images that can be used, by decoding all of them.

    Estimators return a row for each image, and raise an error that names all bad images
    where there are any. With ``errors="skip"`` this function says which the others are,
    so that the bad ones can be left out of images and labels alike.

    Parameters
    ----------
    X : images
        List or array of paths, PIL images, arrays or tensors, or a data set, as for the
        estimators.
    errors : {"raise", "skip"}, default="raise"
        "raise": bad images are an error. "skip": they are left out of the result, and
        a warning names all of them.
    num_workers : int or "auto", default="auto"
        Number of threads that read and decode images. "auto": the cores that the
        process may use, at most 32.

    Returns
    -------
    int ndarray of shape (n_good,)
        The positions in X of the images that can be used, in ascending order.

    Raises
    ------
    TypeError, ValueError
        If X is not a list of images, or `errors` or `num_workers` is none of these.
    skdpnet.images.ImageError
        If images cannot be used, and are not to be skipped; or if none can be used. The
        message names all of them; the attribute `errors` has an error for each.

    Warns
    -----
    UserWarning
        If images are skipped.

    See Also
    --------
    skdpnet.datasets.load_image_folder : Lists images without opening them.

    Examples
    --------
    >>> import numpy as np
    >>> import skdpnet
    >>> images = [np.zeros((40, 60, 3), dtype=np.uint8), np.ones((40, 60, 3)) / 2]
    >>> skdpnet.check_images(images)
    array([0, 1])

    With paths, and labels `y` that are an array::

        good = skdpnet.check_images(paths, errors="skip")
        model.fit([paths[i] for i in good], y[good])
    """
    if errors not in _ERRORS:
        raise ValueError(f'errors must be "raise" or "skip", got {errors!r}.')
    is_number = isinstance(num_workers, (int, np.integer)) and num_workers >= 1
    if not is_number and num_workers != AUTO_WORKERS:
        raise ValueError(
            "num_workers must be a whole number of at least 1, or "
            f"{AUTO_WORKERS!r}, got {num_workers!r}."
        )
    images = as_images(X)
    found = decoding_errors(images, decoding_threads(num_workers))
    if found:
        error = ImageError.of_all(found, len(images))
        if errors == "raise" or len(found) == len(images):
            raise error
        warnings.warn(f"images are left out: {error}", UserWarning, stacklevel=2)
    bad = {error.index for error in found}
    return np.array([i for i in range(len(images)) if i not in bad], dtype=np.intp)
