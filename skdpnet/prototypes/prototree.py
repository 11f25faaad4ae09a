"""ProtoTree on the feature maps of a frozen network."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import torch

from skdpnet.images.framing import AUTO
from skdpnet.parts.initialisation import cluster_parts
from skdpnet.parts.layout import share_parts
from skdpnet.prototypes.base import PrototypeClassifier
from skdpnet.prototypes.parameters import with_shared_parameters
from skdpnet.prototypes.projection import Projection, leave_sources_out, project
from skdpnet.prototypes.similarity import nearest_distances
from skdpnet.prototypes.soft_tree import complete_tree, leaves_below, prune_tree
from skdpnet.prototypes.tree_decision import TreeDecision
from skdpnet.prototypes.tree_model import TreeModel, TreeObjective
from skdpnet.prototypes.tree_start import choose_splits
from skdpnet.training.output_update import OutputUpdate
from skdpnet.utils.validation import Number, OneOf

__all__ = ["ProtoTreeClassifier"]

# Cluster centres of each class that the first prototypes are chosen from.
_CANDIDATES_PER_CLASS = 10
# The first a is this number over the standard deviation of a prototype's distances.
_FIRST_SCALE = 2.0
# Updates of the leaves where prototypes do not move any more.
_LAST_UPDATES = 50
_MOST_LEVELS = 12


@with_shared_parameters
class ProtoTreeClassifier(TreeDecision):
    """Classify images by a binary tree that asks for regions like training regions.

    ProtoTree [1]_ on frozen feature maps. Each inner node n of the tree has a
    prototype. An image goes to the right, "present", with the probability
    ``s_n = σ(a_n (τ_n - d_n))``, where d_n is the squared distance of the prototype to
    the image's nearest region, and to the left, "absent", with ``1 - s_n``. It reaches
    each leaf with the product of the probabilities on the path, and each leaf has a
    distribution of the classes. The descriptor of an image has the s of each prototype.
    There are these stages:

    1. Prototypes, a, τ and a linear layer on the regions minimise the negative
       log-likelihood of the labels. The leaves are updated between the epochs without
       derivatives.
    2. Subtrees are left out whose leaves are all nearly uniform.
    3. Each prototype becomes the nearest region of the training images whose class is
       the most probable one of some leaf below its node.
    4. The layer, a and τ are learned further, and the leaves once more; the prototypes
       stay the regions that they are.

    Parameters
    ----------
    {maps_of_64}
    depth : int or None, default=None
        Number of nodes of each path before pruning; the tree has ``2 ** depth - 1``.
        None: ``1 + ceil(log2(C))`` for C classes, which is 9 for the 200 classes of the
        paper, as there.
    decision : {"distributed", "best_leaf", "greedy"}, default="distributed"
        What the probabilities of the classes are: the mean over all leaves, weighted by
        the probabilities of their paths; the distribution of the leaf whose path is the
        most probable ("sample_max" in the paper's code); or that of the leaf that a
        walk ends at which goes right where ``s > 0.5``. Another decision needs no new
        fit: ``set_params(decision=...)``.
    leaf_smoothing : float > 0, default=0.1
        Number of images, spread evenly over all classes, that each leaf has besides
        those that reach it. It keeps the leaves uniform that no image reaches.
    pruning_threshold : float in [0, 1), default=0.005
        Subtrees are left out if the largest probability of each of their leaves is at
        most this share of the way from ``1 / C`` to 1. For 200 classes, 0.005 is the
        probability 0.01 of the paper. 0: only exactly uniform leaves are.
    max_epochs : int >= 0, default=10
        Number of passes over the training set in stage 1, and in stage 4.
    lr : float > 0, default=0.003
        Learning rate, which decays to 0 along a cosine in each of these stages.
    batch_size : int, default=64
        Number of images in a training step.
    {training}

    Attributes
    ----------
    {attributes}
    children_ : int64 ndarray of shape (P, 2)
        The slots to the left and right of each node. A slot k ≥ 0 is the node k, and a
        slot k < 0 is the leaf −1 − k. Nodes and leaves are numbered level by level,
        from left to right; node 0 is the root.
    node_prototypes_ : int64 ndarray of shape (P,)
        The number of the prototype of each node. Prototypes are sorted by map, as the
        descriptor is, and nodes by level.
    scales_, thresholds_ : float32 ndarrays of shape (P,)
        a and τ of each prototype.
    leaf_probabilities_ : float64 ndarray of shape (P + 1, C)
        The distribution of each leaf.
    leaf_masses_ : float64 ndarray of shape (P + 1,)
        The share of the training images, and of the smoothing, that each leaf has.

    See Also
    --------
    ProtoPNetClassifier : Similarities are added up instead.
    skdpnet.display.PrototypeTreeDisplay : Draws the tree, or the path of an image.
    skdpnet.explain : What each node adds to the probability of a class.

    Notes
    -----
    `class_scores`, `decision_function` and explanations are in probabilities. A node
    adds to the probability of a class what the step from it to its children changes:
    ``r_n ((1 - s_n) v_left + s_n v_right - v_n)``, where r_n is the probability to
    reach the node, and v are the class's probability in a leaf and, for a node, its
    mean over the leaves below, weighted by `leaf_masses_`. These contributions and the
    root's v, the bias, add up to the probability exactly. With the decisions for a
    single leaf, s is 0 or 1, and nodes beside the path contribute nothing.

    What differs from the paper, because the network is frozen:

    - The layer on the regions is the paper's 1×1 convolution, without bias. It follows
      the PCA whitening, starts as the identity, and gives unit length in place of a
      sigmoid; in the fitted model it is part of `whitenings_`.
    - The presence is ``σ(a (τ - d))``, in place of ``exp(-d)`` with the unsquared
      distance. Distances of unit vectors are bounded, so that ``exp(-d)`` cannot say
      "absent": nearly all images would go right.
    - The first prototypes are cluster centres of the regions of each class, not random
      numbers. From the root downwards, each node takes the centre and the threshold
      that tell most about the classes of the images that reach it. A node is on the
      feature map that its centre is from; a map may have none.
    - Leaves are updated after each epoch, by several steps of expectation maximisation
      on the outputs for all images, and not after each mini-batch. The smoothing is
      new.
    - Learning goes on after the projection. A region of one image is a poorer detector
      than what was learned, and a layer that is learned with it makes up for this. An
      image that a prototype was taken from counts, here and in the last fit of the
      leaves, as if it were as near to it as the nearest of the other images.
    - The pruning threshold is relative to the number of classes.
    - Images are not augmented.

    References
    ----------
    .. [1] M. Nauta, R. van Bree, C. Seifert, "Neural Prototype Trees for Interpretable
       Fine-grained Image Recognition", CVPR 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdpnet import ProtoTreeClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ProtoTreeClassifier("precomputed", depth=2, random_state=0).fit(X, y)
    >>> model.children_.tolist()
    [[1, 2], [-1, -2], [-3, -4]]
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **PrototypeClassifier._parameter_constraints,
        "depth": [Number(1, at_most=_MOST_LEVELS, whole=True), None],
        "decision": [OneOf(("distributed", "best_leaf", "greedy"))],
        "leaf_smoothing": [Number(0, above=True)],
        "pruning_threshold": [Number(0, below=1)],
    }
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *PrototypeClassifier._fitted_attributes,
        *("children_", "node_prototypes_", "scales_", "thresholds_"),
        *("leaf_probabilities_", "leaf_masses_"),
    )

    def __init__(
        self,
        backbone: str | Callable = "efficientnet_lite0",
        *,
        weights: str | os.PathLike | None = None,
        strides: Sequence[int | str] | None = (16, 32, "average"),
        image_size: int | None = None,
        framing: str = AUTO,
        region_scales: Sequence[float] = (0.3,),
        n_components: int | None = 64,
        depth: int | None = None,
        decision: str = "distributed",
        leaf_smoothing: float = 0.1,
        pruning_threshold: float = 0.005,
        max_epochs: int = 10,
        lr: float = 0.003,
        batch_size: int = 64,
        class_weight: dict | str | None = None,
        memory: str | os.PathLike | None = None,
        device: str = "auto",
        precision: str = "auto",
        num_workers: int | str = "auto",
        verbose: int = 0,
        random_state=None,
    ):
        super().__init__(
            backbone,
            weights=weights,
            strides=strides,
            image_size=image_size,
            framing=framing,
            region_scales=region_scales,
            n_components=n_components,
            max_epochs=max_epochs,
            lr=lr,
            batch_size=batch_size,
            class_weight=class_weight,
            memory=memory,
            device=device,
            precision=precision,
            num_workers=num_workers,
            verbose=verbose,
            random_state=random_state,
        )
        self.depth = depth
        self.decision = decision
        self.leaf_smoothing = leaf_smoothing
        self.pruning_threshold = pruning_threshold

    def _learn(
        self,
        regions: list[np.ndarray],
        labels: np.ndarray,
        weights: np.ndarray,
        random: np.random.RandomState,
    ) -> Projection:
        model, tree = self._start(regions, labels, weights, random)
        data = regions, labels, weights, random
        self._learn_tree(model, tree, *data)
        self._prune(model, tree)
        learned = self._project(model, tree, regions, labels)
        self._learn_tree(model, tree, *data, learned.images)
        self.children_, self.node_prototypes_ = tree.children, tree.node_prototypes
        self.scales_, self.thresholds_ = model.gates()
        self.leaf_probabilities_ = tree.leaves
        self.part_classes_ = np.full(len(self.part_maps_), -1)
        return Projection(model.arrays(), learned.images, learned.regions)

    def _start(
        self,
        regions: list[np.ndarray],
        labels: np.ndarray,
        weights: np.ndarray,
        random: np.random.RandomState,
    ) -> tuple[TreeModel, TreeObjective]:
        """Make the tree that training starts from."""
        n_classes = len(self.classes_)
        depth = self.depth or 1 + (n_classes - 1).bit_length()
        children = complete_tree(depth)
        n_candidates = max(_CANDIDATES_PER_CLASS, len(regions))
        shares = share_parts(n_candidates, len(regions))
        centres = [
            cluster_parts(of_map, None, labels, n_classes, share, random)
            for of_map, share in zip(regions, shares, strict=True)
        ]
        distances = nearest_distances(regions, centres, self.device_)
        splits = choose_splits(distances, labels, weights, n_classes, children)
        # Candidates are sorted by map, and so are the prototypes.
        order = np.argsort(splits.candidates, kind="stable")
        chosen = splits.candidates[order]
        maps = np.repeat(np.arange(len(regions)), [len(of_map) for of_map in centres])
        first = np.cumsum([0, *(len(of_map) for of_map in centres)])
        self.part_maps_ = maps[chosen]
        spread = np.maximum(distances[:, chosen].std(axis=0), 1e-2)
        model = TreeModel(
            [
                of_map[chosen[self.part_maps_ == i] - first[i]]
                for i, of_map in enumerate(centres)
            ],
            (_FIRST_SCALE / spread).astype(np.float32),
            splits.thresholds[order].astype(np.float32),
        ).to(self.device_)
        uniform = np.full((len(children) + 1, n_classes), 1 / n_classes)
        tree = TreeObjective(children, np.argsort(order), uniform, self.leaf_smoothing)
        self._fit_leaves(model, tree, distances[:, chosen], labels, weights)
        return model, tree

    def _learn_tree(
        self,
        model: TreeModel,
        tree: TreeObjective,
        regions: list[np.ndarray],
        labels: np.ndarray,
        weights: np.ndarray,
        random: np.random.RandomState,
        sources: np.ndarray | None = None,
    ) -> None:
        """Train model and leaves, and apply the layer to regions and whitening."""
        self._train(
            model,
            tree,
            [*regions, np.arange(len(labels))],
            labels,
            weights,
            random,
            callbacks=[OutputUpdate(tree.update)],
        )
        regions[:] = self._fold_add_on(model.take_layers(), regions)
        distances = nearest_distances(regions, model.arrays(), self.device_)
        if sources is not None:
            distances = leave_sources_out(distances, sources)
        self._fit_leaves(model, tree, distances, labels, weights)

    def _fit_leaves(
        self,
        model: TreeModel,
        tree: TreeObjective,
        distances: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray,
    ) -> None:
        """Fit the leaves to the distances (n, P) of all training images."""
        with torch.no_grad():
            log_odds = model.log_odds(torch.from_numpy(distances).to(self.device_))
        data = log_odds, torch.from_numpy(labels), torch.from_numpy(weights)
        tree.update(model, *data, n_updates=_LAST_UPDATES)
        mass = (weights[:, None] * tree.paths(log_odds.double()).cpu().numpy()).sum(0)
        mass += self.leaf_smoothing
        self.leaf_masses_ = mass / mass.sum()

    def _prune(self, model: TreeModel, tree: TreeObjective) -> None:
        """Leave out subtrees that say nothing."""
        least = 1 / len(self.classes_)
        least += self.pruning_threshold * (1 - least)
        says_something = tree.leaves.max(axis=1) > least + 1e-9
        tree.children, nodes, leaves = prune_tree(tree.children, says_something)
        tree.leaves = tree.leaves[leaves]
        kept = np.sort(tree.node_prototypes[nodes])
        tree.node_prototypes = np.searchsorted(kept, tree.node_prototypes[nodes])
        self.part_maps_ = self.part_maps_[kept]
        model.keep(kept)

    def _project(
        self,
        model: TreeModel,
        tree: TreeObjective,
        regions: list[np.ndarray],
        labels: np.ndarray,
    ) -> Projection:
        """Make each prototype a region of an image of a class below its node."""
        below, best = leaves_below(tree.children), tree.leaves.argmax(axis=1)
        allowed = np.zeros((len(self.classes_), len(below)), bool)
        for leaves, prototype in zip(below, tree.node_prototypes, strict=True):
            allowed[best[leaves], prototype] = True
        learned = project(regions, model.arrays(), labels, allowed, self.device_)
        model.fix_prototypes(regions, learned)
        return learned
