"""DP-Net as scikit-learn estimators: a classifier and a transformer."""

from __future__ import annotations

from skdpnet.base.part_classifier import PartClassifier
from skdpnet.explanations.explain_mixin import ExplainMixin
from skdpnet.parts.dpnet.editing import EditableParts
from skdpnet.parts.dpnet.parameters import with_parameters

__all__ = ["DPNetClassifier", "DPNetTransformer"]


@with_parameters
class DPNetClassifier(ExplainMixin, PartClassifier, EditableParts):
    """Classify images by learned parts.

    A frozen network describes the regions of an image. The descriptor of the image is
    the maximum of each part's response over the regions, standardised on the training
    set (mean 0, variance 1/P). A linear classifier V decides on it. Parts and
    classifier are learned together: training minimises the cross-entropy,
    ``ridge * ‖V‖²``, and the penalties of `skdpnet.losses` that have a weight. Its
    steps move the parts, and V is fitted exactly before each epoch. Finally, V is
    fitted once more on the learned parts, with squared hinge loss.

    An indicator matrix as y says that an image may have several classes, or none, as in
    scikit-learn. Each class is then a decision of its own: its first parts come from
    the images that have it, the cross-entropy is the sum of the classes' binary ones,
    and its probability is the sigmoid of its logit.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    DPNetTransformer : The same parts, as features for another classifier.
    SoftAssignParts : Parts that are learned without gradients.
    skdpnet.explain : The contribution of each part to the score of an image.

    References
    ----------
    R. Sicre, H. Zhang, J. Dejasmin, C. Daaloul, S. Ayache, T. Artières, "DP-Net:
    Learning Discriminative Parts for image recognition", ICIP 2023
    (arXiv 2404.15037).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdpnet import DPNetClassifier
    >>> X, y = load_iris(return_X_y=True, as_frame=False)
    >>> model = DPNetClassifier(backbone="precomputed", random_state=0).fit(X, y)
    >>> model.parts_.shape, model.coef_.shape
    ((39, 4), (3, 39))
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@with_parameters
class DPNetTransformer(EditableParts):
    """Describe images by learned parts, as features for another classifier.

    Parts are learned as in `DPNetClassifier`, together with an internal classifier. The
    descriptor that `transform` returns is the maximum of each part's response over the
    regions, standardised on the training set (mean 0, variance 1/P).

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    DPNetClassifier : Parts and classifier in one estimator.
    GlobalFeatures : The descriptor without parts, to compare with.

    Notes
    -----
    `transform` does not use the internal classifier (`coef_`, `intercept_`). In `fit`,
    `C` has no other effect than on its final fit. `ridge`, `label_smoothing`,
    `dropout`, `specificity_weight` and `specificity_form` belong to the internal
    classifier and its cross-entropy, and change the parts by their gradients alone.
    Nothing of this constrains the classifier that follows in a Pipeline: with the
    specificity penalty it may use the parts of all classes.

    References
    ----------
    R. Sicre, H. Zhang, J. Dejasmin, C. Daaloul, S. Ayache, T. Artières, "DP-Net:
    Learning Discriminative Parts for image recognition", ICIP 2023
    (arXiv 2404.15037).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdpnet import DPNetTransformer
    >>> X, y = load_iris(return_X_y=True, as_frame=False)
    >>> parts = DPNetTransformer(
    ...     backbone="precomputed", n_parts_per_class=2, random_state=0
    ... ).fit(X, y)
    >>> parts.transform(X).shape
    (150, 9)
    >>> print(*parts.get_feature_names_out())
    0_part0 0_part1 1_part0 1_part1 2_part0 2_part1 0_context 1_context 2_context
    """
