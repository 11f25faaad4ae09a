"""The base class of estimators that learn from feature maps of a frozen backbone."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from skdpnet.backbones.backbone import Backbone
from skdpnet.base.documented import Documented
from skdpnet.base.publishable import Publishable
from skdpnet.features.extraction_parameters import EXTRACTION_CONSTRAINTS
from skdpnet.features.feature_maps import FeatureMaps
from skdpnet.features.map_arrays import separate
from skdpnet.features.network_record import (
    NetworkRecord,
    record_network,
    warn_of_another,
)
from skdpnet.features.precomputed import check_precomputed
from skdpnet.images.collection import as_images
from skdpnet.images.framing import AUTO, Framing
from skdpnet.images.pillow_settings import CarriesPillowSettings
from skdpnet.persistence.checks import check_map_shapes
from skdpnet.persistence.saving import save
from skdpnet.utils.batching import slices_of
from skdpnet.utils.devices import on_cpu, resolve_device
from skdpnet.utils.host_copies import as_tensor

__all__ = ["MapEstimator"]

# Precomputed maps are passed on for this many images at a time, so that what a subclass
# computes from them stays small.
_IMAGES_AT_ONCE = 64
# The network that each estimator is known to be fitted with, or was warned of, in this
# process: its fingerprint, or the function that it is.
_known_networks: weakref.WeakKeyDictionary[MapEstimator, Any]
_known_networks = weakref.WeakKeyDictionary()


class MapEstimator(Documented, CarriesPillowSettings, Publishable, BaseEstimator):
    """Base of the estimators that learn from feature maps of a frozen backbone.

    A subclass receives feature maps, whether they are computed from images, read from
    the cache, or arrays that the user computed (``backbone="precomputed"``). It calls
    `_all_maps` with ``reset=True`` or `_iter_fit_maps` in `fit`, and `iter_maps`
    afterwards. It declares

    - `_parameter_constraints`: the inherited constraints and those of its parameters,
      which `skdpnet.utils.validation.check_parameters` checks;
    - `_fitted_attributes`: the names of the attributes that `fit` sets and `save`
      writes;
    - `_former_parameters`: the names of parameters that earlier versions had, which
      `load` leaves out;
    - `_added_parameters`: parameters that earlier versions lacked, with the values that
      describe their models, whatever the defaults are now.

    Parameters
    ----------
    backbone, weights, strides, image_size, framing, memory, device, precision, \
            num_workers, verbose
        As in `FeatureMaps`; ``backbone="precomputed"`` takes maps n×H×W×D, regions
        n×R×D or features n×D in place of images, or several maps as `FeatureMaps`
        returns them.

    Attributes
    ----------
    map_shapes_ : tuple of tuples of int
        The shape of each feature map of an image: (H, W, D), (R, D) or (D,).
    n_features_in_ : int
        D, for ``backbone="precomputed"`` only.
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {**EXTRACTION_CONSTRAINTS}
    _fitted_attributes: ClassVar[tuple[str, ...]] = ("map_shapes_",)
    _former_parameters: ClassVar[tuple[str, ...]] = ()
    _added_parameters: ClassVar[dict[str, Any]] = {"framing": "crop", "weights": None}

    map_shapes_: tuple[tuple[int, ...], ...]
    # The network of the last fit; None for given maps, and in models that an earlier
    # version fitted.
    _network: NetworkRecord | None = None

    def __init__(
        self,
        backbone: str | Callable = "efficientnet_lite0",
        *,
        weights: str | os.PathLike | None = None,
        strides: Sequence[int | str] | None = None,
        image_size: int | None = None,
        framing: str = AUTO,
        memory: str | os.PathLike | None = None,
        device: str = "auto",
        precision: str = "auto",
        num_workers: int | str = "auto",
        verbose: int = 0,
    ):
        self.backbone = backbone
        self.weights = weights
        self.strides = strides
        self.image_size = image_size
        self.framing = framing
        self.memory = memory
        self.device = device
        self.precision = precision
        self.num_workers = num_workers
        self.verbose = verbose

    @property
    def is_precomputed(self) -> bool:
        """Whether X holds feature maps in place of images."""
        return isinstance(self.backbone, str) and self.backbone == "precomputed"

    def feature_maps(self) -> FeatureMaps:
        """Return the extractor of feature maps that the parameters describe.

        Returns
        -------
        FeatureMaps
        """
        extractor = FeatureMaps(
            self.backbone,
            weights=self.weights,
            strides=self.strides,
            image_size=self.image_size,
            framing=self.framing,
            device=self.device,
            precision=self.precision,
            num_workers=self.num_workers,
            memory=self.memory,
            verbose=self.verbose,
        )
        if self._network is not None:
            extractor._usual_size = self._network.image_size
        return extractor

    def input_framing(self) -> Framing:
        """Return what the network sees of an image, and at what size.

        Returns
        -------
        Framing

        Raises
        ------
        ValueError
            If X holds feature maps, or if the network cannot be loaded.
        """
        return self.feature_maps().input_framing()

    def iter_maps(self, X) -> Iterator[list[np.ndarray]]:
        """Iterate over the feature maps of X, some images at a time.

        The memory that it takes does not grow with the number of images.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            As in `fit`.

        Yields
        ------
        list of ndarray of shape (n', H, W, D)
            For each map an array of the next n' images. Features n×D are maps of one
            cell, regions n×R×D are maps of R rows and one column.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If the maps of X have other shapes than in `fit`, or if X is neither a
            container of images nor an array of features.
        skdpnet.images.ImageError
            If images cannot be read; the message names all.
        """
        check_is_fitted(self)
        return self._iter_arrays(X, reset=False)

    def _iter_fit_maps(self, X) -> Iterator[list[np.ndarray]]:
        """Iterate over the maps of X as `iter_maps` does, and set `map_shapes_`."""
        return self._iter_arrays(X, reset=True)

    def _iter_arrays(self, X, *, reset: bool) -> Iterator[list[np.ndarray]]:
        for maps in self._iter_checked_maps(X, reset=reset, to_host=True):
            yield [feature_map.numpy() for feature_map in maps]

    def _iter_tensors(self, X) -> Iterator[list[torch.Tensor]]:
        """Iterate over the maps of X as `iter_maps` does, on the device.

        Maps that are computed there do not leave it.
        """
        check_is_fitted(self)
        return self._iter_checked_maps(X, reset=False, to_host=False)

    def _all_maps(self, X, *, reset: bool) -> list[np.ndarray]:
        """Return all feature maps of X, (n, H, W, D) each.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
        reset : bool
            True: set `map_shapes_`; False: check the shapes against it.

        Raises
        ------
        ValueError, skdpnet.images.ImageError
            As `iter_maps`.
        """
        if self.is_precomputed:
            return self._precomputed_maps(X, reset=reset)
        images = as_images(X).for_fit() if reset else X
        maps = separate(self._extractor(reset).transform(images))
        self._set_or_check_shapes(maps, reset)
        return maps

    def _iter_checked_maps(
        self, X, *, reset: bool, to_host: bool
    ) -> Iterator[list[torch.Tensor]]:
        """Iterate over the maps of X, on the CPU (`to_host`) or on the device."""
        if self.is_precomputed:
            arrays = self._precomputed_maps(X, reset=reset)
            device = torch.device("cpu") if to_host else resolve_device(self.device)
            for images in slices_of(len(arrays[0]), _IMAGES_AT_ONCE):
                yield [as_tensor(array[images], device) for array in arrays]
            return
        X = as_images(X).for_fit() if reset else X
        extractor = self._extractor(reset)
        for maps in extractor.iter_tensors(X, to_host=to_host):
            self._set_or_check_shapes(maps, reset)
            reset = False
            yield maps

    def _extractor(self, reset: bool) -> FeatureMaps:
        """Return an extractor that records the network (`reset`), or checks it."""
        if reset:
            self._network = None
        extractor = self.feature_maps()
        extractor._on_network = self._record_network if reset else self._check_network
        return extractor

    def _record_network(
        self,
        backbone: Backbone,
        framing: Framing,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._network = record_network(backbone, framing, device, dtype)
        _known_networks[self] = backbone.fingerprint or self.backbone

    def _check_network(
        self,
        backbone: Backbone,
        framing: Framing,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """Warn if a network is not the one of the last fit, once for each network."""
        then, network = self._network, backbone.fingerprint or self.backbone
        if then is None or _known_networks.get(self) == network:
            return
        if then.image_size != framing.image_size:
            # The user has changed parameters. The shapes of the maps will tell.
            return
        _known_networks[self] = network
        warn_of_another(type(self).__name__, then, backbone, framing, device, dtype)

    def _precomputed_maps(self, X, *, reset: bool) -> list[np.ndarray]:
        if reset:
            self._network = None
        arrays = check_precomputed(self, X, reset=reset)
        self._set_or_check_shapes(arrays, reset)
        return [
            array
            if array.ndim == 4
            else array.reshape(len(array), -1, 1, array.shape[-1])
            for array in arrays
        ]

    def _set_or_check_shapes(
        self, maps: Sequence[np.ndarray | torch.Tensor], reset: bool
    ) -> None:
        shapes = tuple(tuple(feature_map.shape[1:]) for feature_map in maps)
        if reset:
            self.map_shapes_ = shapes
        elif shapes != self.map_shapes_:
            raise ValueError(
                f"X has feature maps of shape {_join(shapes)}, but "
                f"{type(self).__name__} was fitted on {_join(self.map_shapes_)}."
            )

    def _reset(self) -> None:
        """Remove the attributes of an earlier fit.

        If the new fit fails, the estimator is then not fitted, rather than half of it.
        """
        for name in list(vars(self)):
            if name.endswith("_") and not name.startswith("_"):
                delattr(self, name)

    def save(self, path: str | os.PathLike) -> None:
        """Save the fitted estimator to a file that `skdpnet.load` reads.

        The file has the format safetensors, with arrays, and JSON for all other values.
        It holds no pickle, so that loading it runs no code. An existing file is
        replaced when the new one is complete. The parameters `memory` and `device` are
        not saved, because `load` takes them; nor are the batches of the epochs in
        ``history_`` and the state of the optimiser. An attribute `notes_`, a dict of
        plain values that the user may set (who fitted the model, on which images), is
        saved too.

        Parameters
        ----------
        path : str or path
            The file; no suffix is added. ``.safetensors`` is usual.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted, or if its last fit was interrupted.
        ValueError
            If the backbone is a module or callable, or if a parameter is not a number,
            string, list, dict or array: callbacks, for instance, or a RandomState.
        TypeError
            If the class has the name of an estimator of this package.
        OSError
            If the file cannot be written.

        See Also
        --------
        skdpnet.load : Load the estimator again.
        """
        save(self, path)

    def _get_fitted_state(self) -> dict[str, Any]:
        """Return the fitted attributes by name, as arrays and plain values.

        `save` writes them, and `load` passes them to `_set_fitted_state`. A subclass
        with attributes other than arrays, numbers, strings, lists, dicts, `RegionGrid`
        and `Whitening` overrides both methods.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted, or if its last fit was interrupted.
        """
        check_is_fitted(self)
        lacking = [key for key in self._fitted_attributes if not hasattr(self, key)]
        if lacking:
            raise NotFittedError(
                f"this {type(self).__name__} was not fitted to the end: it lacks "
                f"{', '.join(lacking)}. Call fit again before save."
            )
        return {key: getattr(self, key) for key in self._fitted_attributes}

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        """Check that the attributes in a file are consistent, before they are set.

        A subclass that overrides it calls it first. All names of `_fitted_attributes`
        are in `state`, but their values may be of any type and shape.

        Raises
        ------
        ValueError
            If the attributes are not consistent; the message says why.
        """
        check_map_shapes(state["map_shapes_"])

    def _set_fitted_state(self, state: dict[str, Any]) -> None:
        """Set the attributes that `_get_fitted_state` returned, which are checked."""
        for key in self._fitted_attributes:
            setattr(self, key, state[key])

    def __getstate__(self):
        state = super().__getstate__()
        return {**state, "backbone": on_cpu(self.backbone)}

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "map_shapes_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self.is_precomputed
        tags.input_tags.three_d_array = self.is_precomputed
        return tags


def _join(shapes: Sequence[tuple[int, ...]]) -> str:
    return " and ".join(map(str, shapes))
