"""Locality-constrained linear coding: descriptors as combinations of near words."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch.nn.functional import normalize

from skdpnet.encodings.local_encoder import LocalEncoder
from skdpnet.encodings.pyramid import Levels
from skdpnet.encodings.words import linear_codes, nearest_words, pool_largest
from skdpnet.images.framing import AUTO
from skdpnet.utils.validation import Number

__all__ = ["LLC"]


class LLC(LocalEncoder):
    """Describe images by codes of their local descriptors, linear in words near them.

    Locality-constrained linear coding [1]_, by its fast approximation. The cells of the
    feature maps are local descriptors. `fit` clusters a sample of them into visual
    words, without labels. `transform` writes each descriptor as a combination of the
    words nearest to it, whose weights sum to 1, and keeps of an image the largest
    weight of each word, in each cell of a spatial pyramid. A linear support vector
    machine follows.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, default="dense_sift"
        As in `FeatureMaps`; ``"precomputed"`` takes maps n×H×W×D, regions n×R×D,
        features n×D or several maps in place of images.
    weights, strides, image_size, framing, memory, device, precision, num_workers, \
            verbose
        As in `FeatureMaps`.
    n_words : int, default=1024
        K, the visual words of a vocabulary; fewer where the sample has fewer distinct
        descriptors.
    n_components : int or None, default=None
        The principal axes to which descriptors are reduced, of nearly equal variances
        afterwards, as for `VLAD`. None: words are those of the descriptors as they are.
    n_neighbors : int, default=5
        k, the words that a descriptor is a combination of; all where there are fewer.
    regularisation : float > 0, default=1e-4
        Added to the diagonal of the matrix of a descriptor's neighbours, as a share of
        its trace.
    pyramid : sequence of (rows, columns), default=None
        Levels of a spatial pyramid. Each cuts the image into cells, which are encoded
        separately: ``((1, 1), (2, 2), (4, 4))`` into the whole, quarters and
        sixteenths, as in [1]_. None:
        the whole image, ``((1, 1),)``. For ``framing="aspect"`` an image ends at its
        last cells that are not zero.
    n_samples : int, default=100_000
        Local descriptors that a vocabulary is learned from, drawn at random.
    random_state : int, RandomState or None, default=None
        Draws the descriptors, and starts k-means.

    Attributes
    ----------
    whitenings_ : list of Whitening
        For each vocabulary, the projection of descriptors from D dimensions to K'.
    words_ : list of float32 ndarray of shape (K, K')
        The visual words of each vocabulary.
    map_shapes_ : tuple of tuples
        Shape of each map of an image.
    n_features_in_ : int
        D, for ``backbone="precomputed"`` only.

    See Also
    --------
    BagOfWords : Each descriptor counts for its nearest word alone.

    Notes
    -----
    The weights c of a descriptor x in its nearest words w_j solve ``(G + λ I) c = 1``
    with ``G_ij = (w_i - x)·(w_j - x)`` and λ = `regularisation` times the trace of G,
    and are divided by their sum. These are the barycentric weights of scikit-learn's
    `LocallyLinearEmbedding`. A word that no descriptor of a cell has a positive weight
    in is 0 there. The vector of all cells and vocabularies is l2-normalised; nothing
    else is.

    Maps of one shape, as those of dense SIFT are, share a vocabulary and are encoded
    together; every other map has a vocabulary and an encoding of its own. Descriptors
    are l2-normalised, and those of zero are left out: dense SIFT has them where an
    image shows no contrast.

    References
    ----------
    .. [1] J. Wang, J. Yang, K. Yu, F. Lv, T. Huang, Y. Gong, "Locality-constrained
       linear coding for image classification", CVPR 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet import LLC
    >>> maps = np.random.default_rng(0).random((10, 8, 8, 16))
    >>> llc = LLC("precomputed", n_words=12, pyramid=((1, 1), (2, 2)), random_state=0)
    >>> llc.fit_transform(maps).shape
    (10, 60)
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **LocalEncoder._parameter_constraints,
        "n_neighbors": [Number(1, whole=True)],
        "regularisation": [Number(0, above=True)],
    }
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *LocalEncoder._fitted_attributes,
        "words_",
    )

    def __init__(
        self,
        backbone: str | Callable = "dense_sift",
        *,
        weights: str | os.PathLike | None = None,
        strides: Sequence[int | str] | None = None,
        image_size: int | None = None,
        framing: str = AUTO,
        n_words: int = 1024,
        n_components: int | None = None,
        n_neighbors: int = 5,
        regularisation: float = 1e-4,
        pyramid: Levels | None = None,
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
        self.n_neighbors = n_neighbors
        self.regularisation = regularisation

    def _encode_cells(
        self,
        descriptors: torch.Tensor,
        valid: torch.Tensor,
        vocabulary: tuple[torch.Tensor, ...],
    ) -> torch.Tensor:
        (words,) = vocabulary
        numbers = nearest_words(descriptors, words, self.n_neighbors)
        codes = linear_codes(descriptors, words, numbers, self.regularisation)
        return pool_largest(codes, numbers, valid, len(words), self._levels())

    def _join(self, blocks: list[torch.Tensor]) -> torch.Tensor:
        return normalize(torch.cat([block.flatten(1) for block in blocks], 1), dim=1)

    def _length_of_cell(self, n_words: int, depth: int) -> int:
        return n_words
