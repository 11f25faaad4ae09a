"""How DP-Net learns: whitening, first parts, first classifier, then all by gradient."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from sklearn.utils import check_random_state

from skdpnet.base.map_estimator import cut, places_of, stack_parts
from skdpnet.features.feature_maps import resolve_device
from skdpnet.parts.dpnet.describing import ModelParts
from skdpnet.parts.dpnet.initial_state import can_share, start_learning
from skdpnet.parts.dpnet.model import PartModel
from skdpnet.parts.initialisation import standardise, training_maxima
from skdpnet.storage.large_arrays import MapRows
from skdpnet.training.dataset import MapDataset
from skdpnet.training.linear_fits import fit_logistic, fit_svm
from skdpnet.training.net import (
    Objective,
    PartNet,
    UserInterrupt,
    build_net,
    keep_rates,
    learning_dtype,
)
from skdpnet.training.sample_weights import hold_out_some, sample_weights
from skdpnet.utils.validation import Number, OneOf, check_labels, check_parameters

__all__ = ["PartLearner"]

_LARGEST_SEED = np.iinfo(np.int32).max


class PartLearner(ModelParts):
    """Base of `DPNetClassifier` and `DPNetTransformer`, which document it."""

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **ModelParts._parameter_constraints,
        "beta": [Number(0, above=True), None],
        "orthogonality_weight": [Number(0)],
        "assignment_weight": [Number(0)],
        "specificity_weight": [Number(0)],
        "assignment_temperature": [Number(0, above=True)],
        "specificity_form": [OneOf(("absolute", "square", "signed"))],
        "C": [Number(0, above=True)],
        "ridge": [Number(0, above=True)],
        "label_smoothing": [Number(0, below=1)],
        "dropout": [Number(0, below=1)],
        "max_epochs": [Number(0, whole=True)],
        "lr": [Number(0, above=True)],
        "classifier_lr": [Number(0, above=True)],
        "batch_size": [Number(1, whole=True)],
        "validation_fraction": [Number(0, above=True, below=1), None],
        "n_iter_no_change": [Number(1, whole=True)],
    }

    def __init__(
        self,
        backbone: str | Callable = "efficientnet_lite0",
        *,
        strides: Sequence[int] | None = (16, 32),
        image_size: int | None = None,
        region_scales: Sequence[float] = (0.15, 0.3, 0.45),
        n_parts_per_class: int = 20,
        n_components: int | None = 256,
        beta: float | None = 40.0,
        orthogonality_weight: float = 0.0,
        assignment_weight: float = 0.0,
        assignment_temperature: float = 0.1,
        specificity_weight: float = 0.0,
        specificity_form: str = "absolute",
        C: float = 1.0,
        ridge: float = 0.0005,
        label_smoothing: float = 0.1,
        dropout: float = 0.2,
        max_epochs: int = 10,
        lr: float = 2e-3,
        classifier_lr: float = 0.1,
        batch_size: int = 64,
        validation_fraction: float | None = None,
        n_iter_no_change: int = 5,
        class_weight: dict | str | None = None,
        memory: str | os.PathLike | None = None,
        device: str = "auto",
        precision: str = "auto",
        num_workers: int = 2,
        callbacks: Sequence | None = None,
        net_params: dict | None = None,
        verbose: int = 0,
        random_state=None,
    ):
        self.backbone = backbone
        self.strides = strides
        self.image_size = image_size
        self.region_scales = region_scales
        self.n_parts_per_class = n_parts_per_class
        self.n_components = n_components
        self.beta = beta
        self.orthogonality_weight = orthogonality_weight
        self.assignment_weight = assignment_weight
        self.assignment_temperature = assignment_temperature
        self.specificity_weight = specificity_weight
        self.specificity_form = specificity_form
        self.C = C
        self.ridge = ridge
        self.label_smoothing = label_smoothing
        self.dropout = dropout
        self.max_epochs = max_epochs
        self.lr = lr
        self.classifier_lr = classifier_lr
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.memory = memory
        self.device = device
        self.precision = precision
        self.num_workers = num_workers
        self.callbacks = callbacks
        self.net_params = net_params
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None):
        """Learn the parts and the classifier.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            List or array of n paths, PIL images, uint8 or [0, 1] float arrays or
            tensors; precomputed: maps n×H×W×D, regions n×R×D or features n×D.
        y : array-like of shape (n,)
            Labels of at least two classes, numbers or strings.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images; those of weight 0 are left out altogether.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For unusable parameters, labels or data; the message names what and why.
        skdpnet.images.ImageError
            Names the first item of X that is no readable image.
        """
        self._learn(X, y, sample_weight)
        return self

    def fit_transform(self, X, y=None, sample_weight=None) -> np.ndarray:
        """Learn the parts and describe the training images, computing maps once.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        float32 ndarray of shape (n, P)
        """
        return self._describe(cut(self._learn(X, y, sample_weight)))

    def _learn(self, X, y, sample_weight) -> list[np.ndarray]:
        """Set all fitted attributes; return the maps of X."""
        self._forget()
        check_parameters(self)
        y = check_labels(self, X, y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least two classes to tell apart; y "
                f"has {len(self.classes_)} class: {self.classes_.tolist()}."
            )
        weights = sample_weights(X, y, sample_weight, self.class_weight)
        maps = self._maps(X, reset=True)
        train = self._start(maps, labels, weights, hold_out=True)
        self._train(train, self.max_epochs)
        # The net would keep the images held out, and take them into every pickle.
        self.net_.train_split = None
        decide = functools.partial(
            fit_svm,
            ridge=0.5 / (self.C * len(train)),
            label_smoothing=self.label_smoothing,
            penalty=self.net_.objective.penalty,
        )
        self._fit_classifier(self.net_.module_, train, decide)
        self._read_off()
        return maps

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Learn one epoch from a batch of images.

        The first call sets the whitening, the first parts and the scale of the
        descriptor from its batch, so give it images of every class. Learning rates
        do not decay, and the classifier is the one held small by `ridge`: `C` and
        `max_epochs` play no part. A call that is interrupted keeps the steps that it
        took.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`; a batch may hold a single class.
        classes : array-like of shape (C,), default=None
            All labels there will be; needed in the first call, where y lacks some.

        Returns
        -------
        self
        """
        check_parameters(self)
        y = check_labels(self, X, y)
        first = not hasattr(self, "parts_")
        if first:
            self._forget()
            self.classes_ = np.unique(y if classes is None else classes)
            if len(self.classes_) < 2:
                raise ValueError(
                    "the first call of partial_fit needs at least two classes, in "
                    "classes= or in y."
                )
        elif classes is not None and not np.array_equal(
            np.unique(classes), self.classes_
        ):
            raise ValueError(
                f"classes={list(classes)!r} differ from those of the first call, "
                f"{self.classes_.tolist()!r}."
            )
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y holds labels that are not among the classes: {unknown.tolist()!r}."
            )
        labels = np.searchsorted(self.classes_, y)
        weights = sample_weights(X, y, sample_weight, self.class_weight)
        maps = self._maps(X, reset=first)
        if first:
            batch = self._start(maps, labels, weights, hold_out=False)
        else:
            where = torch.device(self.net_.device)
            batch = self._dataset(self._whitened(maps, where), labels, weights, where)
            keep_rates(self.net_, self.lr, self.classifier_lr)
        try:
            self._train(batch, 1)
        finally:
            # Steps that were taken before an interrupt stay: all must tell of them.
            self._read_off()
        return self

    def _start(self, maps, labels, weights, hold_out) -> MapDataset:
        """Set all that training starts from; return the training set."""
        random = check_random_state(self.random_state)
        self.device_ = resolve_device(self.device)
        self.grids_ = self._grids()
        shares = self._parts_a_map()
        keep, held = np.flatnonzero(weights > 0), None
        if hold_out and self.validation_fraction is not None:
            keep, held = hold_out_some(keep, labels, self.validation_fraction, random)
        n_classes = len(self.classes_)
        start, whitened = start_learning(
            [MapRows(one, keep) for one in maps],
            labels[keep],
            n_classes,
            self.grids_,
            shares,
            self.n_components,
            random,
            self.memory,
            self.device_,
            keep=can_share(self.random_state),
        )
        self.whitenings_ = start.whitenings
        train = self._dataset(whitened, labels[keep], weights[keep], self.device_)
        valid = None
        if held is not None:
            rows = [MapRows(one, held) for one in maps]
            valid = self._dataset(
                self._whitened(rows, self.device_),
                labels[held],
                weights[held],
                self.device_,
            )

        self.part_classes_, self.part_maps_ = places_of(shares, n_classes)
        self._seed = int(random.randint(_LARGEST_SEED))
        offsets = [whitening.offset for whitening in self.whitenings_]
        # Kernels take Python's numbers, not NumPy's.
        beta = None if self.beta is None else float(self.beta)
        model = PartModel.from_arrays(
            start.parts, offsets, self.grids_, n_classes, beta, self.dropout
        ).to(self.device_)
        self.net_ = self._net(model, decay=hold_out, valid=valid)
        # A good classifier from the start protects good parts: gradients through a
        # random one would move them at once, in no useful direction.
        begin = functools.partial(
            fit_logistic, ridge=self.ridge, penalty=self.net_.objective.penalty
        )
        self._fit_classifier(model, train, begin)
        self.net_.initialize()
        return train

    def _net(
        self, model: PartModel, *, decay: bool, valid: MapDataset | None
    ) -> PartNet:
        """Build the net that trains a model as the parameters say."""
        objective = Objective(
            torch.from_numpy(self.part_classes_),
            ridge=self.ridge,
            label_smoothing=self.label_smoothing,
            orthogonality_weight=self.orthogonality_weight,
            assignment_weight=self.assignment_weight,
            specificity_weight=self.specificity_weight,
            specificity_form=self.specificity_form,
        )
        temperature = self.assignment_temperature if self.assignment_weight else None
        model.assignment_temperature = temperature
        model.learning_dtype = learning_dtype(self.precision, self.device_)
        model.kernels = self.precision != "float32"
        return build_net(
            model,
            objective,
            max_epochs=self.max_epochs,
            lr=self.lr,
            classifier_lr=self.classifier_lr,
            batch_size=self.batch_size,
            decay=decay,
            valid=valid,
            n_iter_no_change=self.n_iter_no_change,
            callbacks=self.callbacks,
            net_params=self.net_params,
            device=self.device_,
            verbose=self.verbose,
            seed=self._seed,
        )

    def _dataset(self, whitened, labels, weights, device) -> MapDataset:
        dataset = MapDataset(whitened, labels, weights)
        # A loader of the user's may have processes, which cannot reach a GPU's arrays.
        return dataset if self.net_params else dataset.settle(device)

    def _train(self, dataset: MapDataset, epochs: int) -> None:
        if epochs == 0:
            return
        with self._seeded(len(self.net_.history)):
            try:
                self.net_.partial_fit(dataset, epochs=epochs)
            except UserInterrupt as interrupt:
                raise KeyboardInterrupt from interrupt

    def _fit_classifier(
        self, model: PartModel, train: MapDataset, fit: Callable
    ) -> None:
        """Standardise the descriptor for the parts as they are, and fit V on it."""
        maxima = training_maxima(model.eval(), train.maps, self.device_)
        descriptor = standardise(model, maxima)
        coef, intercept = fit(
            descriptor, train.labels, train.weights, len(self.classes_)
        )
        with torch.no_grad():
            model.classifier.weight.copy_(torch.from_numpy(coef))
            model.classifier.bias.copy_(torch.from_numpy(intercept))

    @contextlib.contextmanager
    def _seeded(self, step: int) -> Iterator[None]:
        """Seed the global generators that dropout draws from, then restore them."""
        # Not `device_`: a model fitted on a GPU may go on learning where there is none.
        device, seed = torch.device(self.net_.device), self._seed + step
        others = [] if device.type == "cpu" else [device]
        with torch.random.fork_rng(devices=others, device_type=device.type):
            # torch.manual_seed would reach all devices' generators, not only these.
            torch.default_generator.manual_seed(seed)
            for own in others:
                state = torch.Generator(own).manual_seed(seed).get_state()
                torch.get_device_module(own).set_rng_state(state, own)
            yield

    def _read_off(self) -> None:
        """Take the fitted attributes from the trained model."""
        module = self.net_.module_.eval()
        self.history_ = self.net_.history
        self.n_iter_ = len(self.history_)
        with torch.no_grad():
            self.parts_ = stack_parts(
                [own.cpu().numpy() for own in module.unit_parts()]
            )
            self.coef_ = module.classifier.weight.cpu().numpy().copy()
            self.intercept_ = module.classifier.bias.cpu().numpy().copy()
