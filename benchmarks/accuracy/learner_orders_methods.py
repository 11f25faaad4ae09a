"""The orders that papers of part learners report, and what each compares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sklearn.base import BaseEstimator, is_classifier

from benchmarks.accuracy import published_methods
from benchmarks.accuracy.heads_methods import HEADS
from benchmarks.accuracy.learner_orders_images import FRAMING as MADE_FRAMING
from benchmarks.accuracy.learner_orders_images import (
    arrangement_images,
    planted_parts,
)
from benchmarks.accuracy.learner_orders_learners import (
    GraphWithoutEdges,
    HOGAtTwoSizes,
)
from benchmarks.accuracy.learner_orders_measures import (
    Fitted,
    boosted_shares,
    negative_weights,
    nothing,
    part_purity,
)
from benchmarks.data.extraction import FRAMING, IMAGE_SIZE
from benchmarks.explanations.image_sets import ImageSet
from skdpnet import (
    BlocksThatShout,
    DeformableParts,
    DPNetTransformer,
    GlobalFeatures,
    LayoutGraphClassifier,
    ModeSeeking,
    RandomSelectedParts,
    SharedBoostedParts,
    SoftAssignParts,
)
from skdpnet.backbones import DenseSIFT

__all__ = ["ORDERS", "Learner", "Order"]

_STRIDES = DPNetTransformer().strides
# What each learner sees of an image, in both tables that are never mixed.
_FROZEN = {"image_size": IMAGE_SIZE, "framing": FRAMING, "strides": _STRIDES}
_PUBLISHED = {
    "image_size": published_methods.IMAGE_SIZE,
    "framing": published_methods.FRAMING,
}
_MADE = {
    "image_size": MADE_FRAMING.image_size,
    "framing": MADE_FRAMING.name,
    "strides": (16,),
}
# Windows of the parts' size.
_PLANTED = {"backbone": "precomputed", "region_scales": (0.3,), "n_components": None}


@dataclass(frozen=True)
class Learner:
    """An estimator of images: a classifier, or what a linear SVM follows.

    Parameters
    ----------
    kind : class
        Of the estimator.
    parameters : dict
        Its parameters other than the defaults, with those of the maps.
    choices : tuple of dict, default=({},)
        Parameters that a classifier chooses from. Others choose the C of their SVM.
    backbone : callable, default=None
        Makes the backbone, if it is an object.
    """

    kind: type[BaseEstimator]
    parameters: dict[str, Any]
    choices: tuple[dict[str, Any], ...] = ({},)
    backbone: Callable[[], Any] | None = None

    def estimator(
        self, seed: int, memory: Any, choice: dict[str, Any] | None = None
    ) -> BaseEstimator:
        """Return the unfitted estimator.

        Parameters
        ----------
        seed : int
            Random state.
        memory : path, or None
            The cache of maps.
        choice : dict, optional
            One of `choices`.

        Returns
        -------
        estimator
        """
        params = {**self.parameters, **(choice or {}), "memory": memory}
        if self.backbone is not None:
            params["backbone"] = self.backbone()
        if "random_state" in self.kind().get_params():
            params["random_state"] = seed
        return self.kind(**params)

    @property
    def is_followed_by_svm(self) -> bool:
        """Whether the estimator is a transformer."""
        return not is_classifier(self.kind())

    def settings(self) -> dict:
        """Return what the measurements depend on, as JSON can write it.

        Returns
        -------
        dict
        """
        named = {"kind": self.kind.__name__, "parameters": self.parameters}
        if self.backbone is not None:
            named["backbone"] = repr(self.backbone())
        return {**named, "choices": self.choices}


@dataclass(frozen=True)
class Order:
    """Variants whose order of accuracies, or of other measures, a paper reports.

    Parameters
    ----------
    claim : str
        The order.
    learners : dict of str to Learner
        Each is a variant.
    joined : dict of str to tuple of str, default={}
        Further variants: the names of the learners whose descriptors an SVM sees side
        by side.
    facts : callable, default=`nothing`
        Measures what else the order is about.
    images : callable, default=None
        Makes the images of a seed. None: photographs.
    """

    claim: str
    learners: dict[str, Learner]
    joined: dict[str, tuple[str, ...]] = field(default_factory=dict)
    facts: Callable[[Fitted, ImageSet], dict] = nothing
    images: Callable[[int], ImageSet] | None = None

    @property
    def variants(self) -> dict[str, tuple[str, ...]]:
        """The names of the learners of each variant."""
        return {**{name: (name,) for name in self.learners}, **self.joined}

    def settings(self, variant: str) -> dict:
        """Return what a variant's measurements depend on, as JSON can write it.

        Parameters
        ----------
        variant : str

        Returns
        -------
        dict
            The settings of each learner.
        """
        return {name: self.learners[name].settings() for name in self.variants[variant]}


def _random_parts(n_parts: int) -> dict[str, Learner]:
    """Return as many parts by each of the ways to come to them."""
    ways = {
        "random": {"n_candidates": n_parts},
        "selected": {},
        "selected, joint rounds": {"joint_rounds": 3},
    }
    return {
        f"{n_parts} parts, {way}": Learner(
            RandomSelectedParts, {**_FROZEN, "n_parts": n_parts, **parameters}
        )
        for way, parameters in ways.items()
    }


def _boosted(**parameters: Any) -> Learner:
    return Learner(SharedBoostedParts, {**_FROZEN, **parameters})


def _graphs(
    maps: dict[str, Any], epochs: tuple[int, ...] = (10, 20)
) -> dict[str, Learner]:
    choices = tuple({"max_epochs": n} for n in epochs)
    return {
        "layout graph": Learner(LayoutGraphClassifier, maps, choices),
        "layout graph without edges": Learner(GraphWithoutEdges, maps, choices),
    }


_GLOBAL = {
    "global descriptor of the last map": Learner(
        GlobalFeatures, {**_FROZEN, "strides": ("average",)}
    ),
    "global descriptor of the same maps": Learner(GlobalFeatures, _FROZEN),
}

# Windows of 8 cells of HOG, the templates of blocks that shout.
_WINDOWS_OF_HOG = {"backbone": "hog", **_PUBLISHED, "region_scales": (8 / 28,)}
_TEMPLATES = {**_WINDOWS_OF_HOG, "pooling": "concat"}
# Those of the layout graph, so that bags of parts see the same regions.
_WINDOWS = {"region_scales": LayoutGraphClassifier().region_scales}
_BLOCKS, _FISHER, _BOTH = "blocks that shout", "Fisher vectors", "both"
_REPORTED_OF_BLOCKS = (
    "blocks are worse than Fisher vectors, and both together better (Juneja et al.)"
)
_REPORTED_OF_GRAPHS = (
    "where arrangement alone tells classes apart, a graph is better than bags of the "
    "same regions (Chen et al.)"
)
# About as many nodes as there are parts and cells between them. Chosen on held-out
# training maps: a step of 0.01 in place of the default may end in a network that is
# constant, and 20 epochs are too few.
_FEW_NODES = {"n_regions": 10, "max_overlap": 0.3}
_PYRAMID = {"pyramid": ((1, 1), (2, 2))}
_SIFT = published_methods.PIPELINES["Fisher vectors, pyramid"]
_CELLS = HEADS["Fisher vectors of cells + SVM"]
_CELLS_PYRAMID = {"pyramid": _CELLS.configurations[-1]["pyramid"]}
# Parts of a class where learners are compared at equal numbers.
_EQUAL = {"n_parts_per_class": 10}

ORDERS: dict[str, Order] = {
    "selected parts": Order(
        "selected parts are better than random ones, less so the more there are; joint "
        "rounds help most where there are few (Parizi et al.)",
        {
            **_GLOBAL,
            **_random_parts(50),
            **_random_parts(100),
            **_random_parts(200),
            **_random_parts(400),
        },
        facts=negative_weights,
    ),
    "shared pool": Order(
        "a pool of all classes' parts is at least as good as each class's own, with as "
        "many candidates (Mettes et al.)",
        {
            **_GLOBAL,
            "parts of all classes": _boosted(start=None),
            "own parts": _boosted(start=None, shared=False),
            "parts of all classes, 13 candidates of each": _boosted(
                start=None, n_candidates_per_class=13
            ),
            "parts of all classes, global start": _boosted(),
            "own parts, global start": _boosted(shared=False),
        },
        facts=boosted_shares,
    ),
    "arrangement": Order(
        _REPORTED_OF_GRAPHS,
        {
            "global descriptor": Learner(GlobalFeatures, _MADE),
            "two-stage parts": Learner(
                SoftAssignParts, {**_MADE, **_WINDOWS, **_EQUAL}
            ),
            **_graphs(_MADE),
        },
        images=arrangement_images,
    ),
    "arrangement of planted parts": Order(
        _REPORTED_OF_GRAPHS,
        {
            "global descriptor": Learner(GlobalFeatures, {"backbone": "precomputed"}),
            "two-stage parts": Learner(SoftAssignParts, {**_PLANTED, **_EQUAL}),
            **_graphs({**_PLANTED, **_FEW_NODES}, (40, 80)),
        },
        images=planted_parts,
    ),
    "arrangement in photographs": Order(
        "a graph of regions is at least as good as the same regions without edges "
        "(Chen et al.)",
        {**_GLOBAL, **_graphs(_FROZEN)},
    ),
    "blocks and Fisher vectors, published features": Order(
        _REPORTED_OF_BLOCKS,
        {
            _BLOCKS: Learner(BlocksThatShout, {**_TEMPLATES, **_PYRAMID}),
            _FISHER: Learner(
                _SIFT.encoding,  # type: ignore[arg-type]
                {**_PUBLISHED, **_SIFT.parameters},
                backbone=lambda: DenseSIFT(**_SIFT.local),
            ),
        },
        {_BOTH: (_BLOCKS, _FISHER)},
    ),
    "blocks and Fisher vectors, frozen maps": Order(
        _REPORTED_OF_BLOCKS,
        {
            **_GLOBAL,
            _BLOCKS: Learner(BlocksThatShout, {**_FROZEN, **_PYRAMID}),
            _FISHER: Learner(
                _CELLS.kind,
                {**_FROZEN, **dict(_CELLS.fixed), **_CELLS_PYRAMID},
            ),
        },
        {_BOTH: (_BLOCKS, _FISHER)},
    ),
    "learners on HOG": Order(
        "each learner on the features of most of the papers",
        {
            "global descriptor": Learner(
                GlobalFeatures, {"backbone": "hog", **_PUBLISHED}
            ),
            "two-stage parts": Learner(SoftAssignParts, {**_TEMPLATES, **_EQUAL}),
            _BLOCKS: Learner(BlocksThatShout, {**_TEMPLATES, **_EQUAL}),
            "modes": Learner(
                ModeSeeking, {**_TEMPLATES, **_EQUAL, "n_seeds_per_class": 50}
            ),
            "random parts, selected": Learner(
                RandomSelectedParts, {**_TEMPLATES, "n_parts": 150}
            ),
            "boosted parts": Learner(
                SharedBoostedParts,
                {**_WINDOWS_OF_HOG, "n_candidates_per_class": 50},
                ({"max_depth": 1}, {"max_depth": 2}),
            ),
            "deformable parts": Learner(
                DeformableParts,
                {**_PUBLISHED, "n_stars": 1},
                tuple({"C": C} for C in (0.01, 0.1)),
                HOGAtTwoSizes,
            ),
            "layout graph": Learner(
                LayoutGraphClassifier,
                {"backbone": "hog", **_PUBLISHED},
                tuple({"max_epochs": n} for n in (10, 20)),
            ),
        },
    ),
    "modes": Order(
        "modes are purer than parts that grow from examples, and better where there "
        "are as many (Doersch et al.)",
        {
            **_GLOBAL,
            "modes": Learner(ModeSeeking, {**_FROZEN, **_EQUAL}),
            _BLOCKS: Learner(BlocksThatShout, {**_FROZEN, **_EQUAL}),
            "two-stage parts": Learner(SoftAssignParts, {**_FROZEN, **_EQUAL}),
        },
        facts=part_purity,
    ),
}
