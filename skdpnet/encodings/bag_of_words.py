"""Bags of visual words: how many descriptors of an image are nearest to each word."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import torch
from sklearn.kernel_approximation import AdditiveChi2Sampler
from torch.nn.functional import normalize

from skdpnet.encodings.local_encoder import LocalEncoder
from skdpnet.encodings.pyramid import Levels
from skdpnet.encodings.words import nearest_words, word_counts
from skdpnet.images.framing import AUTO
from skdpnet.utils.validation import OneOf

__all__ = ["BagOfWords"]

# Numbers of each dimension that approximate the χ² kernel: a mean and two waves, which
# the toolkit of Chatfield et al. has too.
_CHI2_STEPS = 2
_CHI2_NUMBERS = 2 * _CHI2_STEPS - 1


class BagOfWords(LocalEncoder):
    """Describe images by histograms of visual words, in a spatial pyramid.

    The cells of the feature maps are local descriptors. `fit` clusters a sample of them
    into visual words [1]_, without labels. Of an image, `transform` counts for each
    word the descriptors that are nearest to it, in each cell of a spatial pyramid
    [2]_. With dense SIFT and a support vector machine this is image classification
    before convolutional networks; words of a network's maps are possible too.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, default="dense_sift"
        As in `FeatureMaps`; ``"precomputed"`` takes maps n×H×W×D, regions n×R×D,
        features n×D or several maps in place of images.
    weights, strides, image_size, framing, memory, device, precision, num_workers, \
            verbose
        As in `FeatureMaps`.
    n_words : int, default=400
        K, the visual words of a vocabulary: the larger one of [2]_, which has 200 and
        400. Fewer where the sample has fewer distinct descriptors.
    n_components : int or None, default=None
        The principal axes to which descriptors are reduced, of nearly equal variances
        afterwards, as for `VLAD`. None: words are those of the descriptors as they are.
    pyramid : sequence of (rows, columns), default=None
        Levels of a spatial pyramid. Each cuts the image into cells, which are encoded
        separately: ``((1, 1), (2, 2), (4, 4))`` into the whole, quarters and
        sixteenths, levels 0 to 2 of [2]_. None:
        the whole image, ``((1, 1),)``. For ``framing="aspect"`` an image ends at its
        last cells that are not zero.
    level_weights : {"equal", "pyramid_match"}, default="equal"
        What the counts of each level are multiplied by. ``"pyramid_match"``: 1/2^L for
        the first of levels 0 … L, and 1/2^(L-l+1) for level l, so that words that
        match in small cells count more [2]_; it belongs to `intersection_kernel`.
    feature_map : {"sqrt", "chi2"} or None, default="sqrt"
        What becomes of the histogram, so that the inner products of a linear classifier
        are a kernel of histograms. ``"sqrt"``: the square root, for the Hellinger
        kernel. ``"chi2"``: three numbers of each entry, which approximate the χ² kernel
        [3]_ as scikit-learn's `AdditiveChi2Sampler` does. None: the histogram itself,
        for ``SVC(kernel=intersection_kernel)``.
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
    skdpnet.encodings.intersection_kernel : The kernel of the pyramid match.
    LLC : Words shared by descriptors near several of them.
    VLAD, FisherVector : What descriptors are beyond their words.

    Notes
    -----
    Maps of one shape, as those of dense SIFT are, share a vocabulary, and are counted
    in one histogram; every other map has a vocabulary and a histogram of its own.

    Descriptors are l2-normalised, and those of zero are left out: dense SIFT has them
    where an image shows no contrast. The counts of all levels and vocabularies, times
    the levels' weights, are divided by their sum; then comes the feature map. An image
    without any descriptor is zero.

    References
    ----------
    .. [1] G. Csurka, C. Dance, L. Fan, J. Willamowski, C. Bray, "Visual categorization
       with bags of keypoints", ECCV workshop on statistical learning in computer
       vision, 2004.
    .. [2] S. Lazebnik, C. Schmid, J. Ponce, "Beyond bags of features: spatial pyramid
       matching for recognizing natural scene categories", CVPR 2006.
    .. [3] A. Vedaldi, A. Zisserman, "Efficient additive kernels via explicit feature
       maps", IEEE TPAMI 34(3), 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet import BagOfWords
    >>> maps = np.random.default_rng(0).random((10, 8, 8, 16))
    >>> words = BagOfWords(
    ...     "precomputed", n_words=4, pyramid=((1, 1), (2, 2)), random_state=0
    ... )
    >>> words.fit_transform(maps).shape
    (10, 20)
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **LocalEncoder._parameter_constraints,
        "level_weights": [OneOf(("equal", "pyramid_match"))],
        "feature_map": [OneOf(("sqrt", "chi2")), None],
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
        n_words: int = 400,
        n_components: int | None = None,
        pyramid: Levels | None = None,
        level_weights: str = "equal",
        feature_map: str | None = "sqrt",
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
        self.level_weights = level_weights
        self.feature_map = feature_map

    def _encode_cells(
        self,
        descriptors: torch.Tensor,
        valid: torch.Tensor,
        vocabulary: tuple[torch.Tensor, ...],
    ) -> torch.Tensor:
        (words,) = vocabulary
        numbers = nearest_words(descriptors, words)[..., 0]
        return word_counts(numbers, valid, len(words), self._levels())

    def _join(self, blocks: list[torch.Tensor]) -> torch.Tensor:
        weights = torch.as_tensor(self._weights_of_cells(), device=blocks[0].device)
        weighted = [(block * weights[:, None]).flatten(1) for block in blocks]
        histograms = normalize(torch.cat(weighted, dim=1), p=1, dim=1)
        if self.feature_map == "sqrt":
            return histograms.sqrt()
        if self.feature_map == "chi2":
            sampler = AdditiveChi2Sampler(sample_steps=_CHI2_STEPS)
            return torch.from_numpy(sampler.fit_transform(histograms.cpu().numpy()))
        return histograms

    def _weights_of_cells(self) -> np.ndarray:
        """Return the weight of the counts in each cell of the pyramid."""
        levels, weights = self._levels(), np.ones(len(self._levels()))
        if self.level_weights == "pyramid_match":
            last = len(levels) - 1
            weights = 0.5 ** (last + 1 - np.maximum(np.arange(len(levels)), 1))
        n_cells = [int(rows) * int(columns) for rows, columns in levels]
        return np.repeat(weights, n_cells).astype(np.float32)

    def _length_of_cell(self, n_words: int, depth: int) -> int:
        return n_words * (_CHI2_NUMBERS if self.feature_map == "chi2" else 1)
