"""Fisher vectors: how descriptors would change the model of all descriptors."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn.functional import normalize

from skdpnet.encodings.fisher_vectors import (
    LEAST_VARIANCE,
    fisher_gradients,
    learn_mixture,
)
from skdpnet.encodings.local_encoder import LocalEncoder
from skdpnet.encodings.pyramid import Levels
from skdpnet.images.framing import AUTO
from skdpnet.persistence.checks import check_array
from skdpnet.utils.validation import Number

__all__ = ["FisherVector"]

# What a file may hold: projected descriptors of unit length are smaller.
_LARGEST_MEAN = 1e3
_SUM_TOLERANCE = 1e-3


class FisherVector(LocalEncoder):
    """Describe images by the Fisher vectors of their local descriptors.

    The improved Fisher vector [2]_. The cells of the feature maps are local
    descriptors. `fit` learns their principal axes and a mixture of Gaussians with
    diagonal covariances, the visual words, without labels. Of an image, `transform`
    returns the gradient of the descriptors' log-likelihood in the means and the
    variances, normalised: it says where the descriptors of the image lie beside those
    of all images, and how far they are spread. With dense SIFT it was the most
    accurate encoding before convolutional networks; on the maps of a network it is a
    strong descriptor without parts.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, default="dense_sift"
        As in `FeatureMaps`; ``"precomputed"`` takes maps n×H×W×D, regions n×R×D,
        features n×D or several maps in place of images.
    weights, strides, image_size, framing, memory, device, precision, num_workers, \
            verbose
        As in `FeatureMaps`.
    n_words : int, default=64
        K, the Gaussians of a mixture; fewer where the sample has fewer distinct
        descriptors. [2]_ and [3]_ have 256.
    n_components : int or None, default=80
        The principal axes to which descriptors are reduced; fewer where the sample
        spans fewer. Without correlations between them the covariances may be diagonal.
        None: descriptors stay as they are.
    pyramid : sequence of (rows, columns), default=None
        Levels of a spatial pyramid. Each cuts the image into cells, which are encoded
        separately: ``((1, 1), (2, 2), (3, 1))`` into the whole, quarters, and
        three bands one above the other, as in [3]_. None:
        the whole image, ``((1, 1),)``. For ``framing="aspect"`` an image ends at its
        last cells that are not zero.
    power : float in (0, 1], default=0.5
        Exponent of the gradients' absolute values; their signs stay. It damps
        descriptors that appear many times. 1: none, as in [1]_.
    n_samples : int, default=100_000
        Local descriptors that a vocabulary is learned from, drawn at random.
    random_state : int, RandomState or None, default=None
        Draws the descriptors, and starts k-means.

    Attributes
    ----------
    whitenings_ : list of Whitening
        For each vocabulary, the projection of descriptors from D dimensions to K'.
    means_, variances_ : lists of float32 ndarray of shape (K, K')
        Of the Gaussians of each vocabulary.
    weights_ : list of float32 ndarray of shape (K,)
        The shares of the Gaussians in each mixture.
    map_shapes_ : tuple of tuples
        Shape of each map of an image.
    n_features_in_ : int
        D, for ``backbone="precomputed"`` only.

    See Also
    --------
    VLAD : The same with means alone, and each descriptor assigned to one word.

    Notes
    -----
    With N descriptors x in a cell, z = (x - μ_k) / σ_k, and q_k the probability of
    Gaussian k given x, the vector has the K' numbers
    ``u_k = 1 / (N √π_k) Σ_x q_k z`` of each Gaussian, and then the numbers
    ``v_k = 1 / (N √(2 π_k)) Σ_x q_k (z² - 1)``. scikit-image's `fisher_vector` has -v
    in place of v, and before both the gradient in the weights.

    Normalisations are those of VLFeat's recipe [3]_ in its order: descriptors are
    l2-normalised, projected without whitening, and not normalised again; the vector of
    each cell is raised to the power and l2-normalised. The vectors of all cells, and
    then of all vocabularies, are joined and l2-normalised once more. (The toolkit of
    Chatfield et al. normalises cells before the power.)

    The mixture starts from k-means and takes at most 50 steps of expectation
    maximisation; variances are at least 1e-4 of the largest variance of the sample.

    Maps of one shape, as those of dense SIFT are, share a vocabulary and are encoded
    together; every other map has a vocabulary and an encoding of its own. Descriptors
    of zero are left out: dense SIFT has them where an image shows no contrast.

    References
    ----------
    .. [1] F. Perronnin, C. Dance, "Fisher kernels on visual vocabularies for image
       categorization", CVPR 2007.
    .. [2] F. Perronnin, J. Sánchez, T. Mensink, "Improving the Fisher kernel for
       large-scale image classification", ECCV 2010.
    .. [3] A. Vedaldi, B. Fulkerson, "VLFeat: an open and portable library of computer
       vision algorithms", 2008, ``apps/recognition``.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet import FisherVector
    >>> maps = np.random.default_rng(0).random((10, 6, 6, 16))
    >>> fisher = FisherVector("precomputed", n_words=4, n_components=8, random_state=0)
    >>> fisher.fit_transform(maps).shape
    (10, 64)
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **LocalEncoder._parameter_constraints,
        "power": [Number(0, above=True, at_most=1)],
    }
    # Covariances are diagonal, but need not be equal.
    _whitens = False
    _vocabulary_attributes = ("means_", "variances_", "weights_")
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *LocalEncoder._fitted_attributes,
        *_vocabulary_attributes,
    )

    def __init__(
        self,
        backbone: str | Callable = "dense_sift",
        *,
        weights: str | os.PathLike | None = None,
        strides: Sequence[int | str] | None = None,
        image_size: int | None = None,
        framing: str = AUTO,
        n_words: int = 64,
        n_components: int | None = 80,
        pyramid: Levels | None = None,
        power: float = 0.5,
        n_samples: int = 100_000,
        memory: str | os.PathLike | None = None,
        device: str = "auto",
        precision: str = "auto",
        num_workers: int | str = "auto",
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ):
        super().__init__(
            backbone,
            weights=weights,
            strides=strides,
            image_size=image_size,
            framing=framing,
            n_words=n_words,
            n_components=n_components,
            pyramid=pyramid,
            n_samples=n_samples,
            memory=memory,
            device=device,
            precision=precision,
            num_workers=num_workers,
            verbose=verbose,
            random_state=random_state,
        )
        self.power = power

    def _learn(
        self, sample: np.ndarray, random_state: np.random.RandomState
    ) -> tuple[np.ndarray, ...]:
        return learn_mixture(sample, self.n_words, random_state)

    def _encode_cells(
        self,
        descriptors: torch.Tensor,
        valid: torch.Tensor,
        vocabulary: tuple[torch.Tensor, ...],
    ) -> torch.Tensor:
        means, variances, weights = vocabulary
        gradients = fisher_gradients(
            descriptors, means, variances, weights, valid, levels=self._levels()
        )
        damped = gradients.sign() * gradients.abs() ** self.power
        return normalize(damped, dim=2)

    def _length_of_cell(self, n_words: int, depth: int) -> int:
        return 2 * n_words * depth

    def _check_vocabulary(self, arrays: tuple[Any, ...], depth: int) -> None:
        means, variances, weights = arrays
        shape = (len(means), depth)
        check_array("means_", means, shape, most=_LARGEST_MEAN)
        check_array("variances_", variances, shape)
        check_array("weights_", weights, shape[:1])
        if not (variances >= LEAST_VARIANCE / 2).all():
            raise ValueError(f"variances_ holds numbers below {LEAST_VARIANCE}")
        if not (weights >= 0).all() or abs(weights.sum() - 1) > _SUM_TOLERANCE:
            raise ValueError("weights_ holds no shares: they do not sum to 1")
