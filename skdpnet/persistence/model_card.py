"""The page that describes a published model: what the model itself knows, and no more.

The first lines are the metadata that the Hugging Face hub reads, in YAML. Nothing in
them comes from the model's texts. In the page below, names of classes and all other
texts stand in code spans.
"""

from __future__ import annotations

import inspect
import itertools
import math
import numbers
import re
from typing import Any

from sklearn.base import is_classifier, is_regressor

import skdpnet
from skdpnet.persistence.markdown import code_span, table
from skdpnet.regions.extents import have_parts

__all__ = ["model_card"]

_MOST_CLASSES = 200
# What describes the computer, and what is said elsewhere on the page.
_NO_SETTINGS = ("backbone", "device", "framing", "image_size", "memory", "verbose")
# Of an epoch, what measures neither fit nor decision.
_NO_FIGURES = ("batches", "dur", "epoch", "event_lr", "train_batch_count")
_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_PAPER = (
    "The method DP-Net: R. Sicre, H. Zhang, J. Dejasmin, C. Daaloul, S. Ayache, "
    "T. Artières, *DP-Net: Learning Discriminative Parts for image recognition*, ICIP "
    "2023, [arXiv 2404.15037](https://arxiv.org/abs/2404.15037)."
)


def model_card(estimator: Any, repo_id: str, licence: str | None = None) -> str:
    """Write the page of a model.

    Parameters
    ----------
    estimator : MapEstimator
        It is fitted.
    repo_id : str
        Where it is published, ``"owner/name"``, a valid name of the hub.
    licence : str, default=None
        Identifier such as ``"bsd-3-clause"``; None: the page says that none is stated.

    Returns
    -------
    str
        Markdown, with metadata in front.

    Raises
    ------
    ValueError
        If `licence` is not an identifier.
    """
    sections = [
        _metadata(estimator, licence),
        f"# {repo_id}",
        _summary(estimator),
        "## Use",
        _usage(estimator, repo_id),
        "## The model",
        table(("", ""), _facts(estimator)),
    ]
    if hasattr(estimator, "classes_"):
        sections += ["## Classes", _classes(estimator)]
    settings = _settings(estimator)
    if settings:
        sections += [
            "## Settings",
            "Parameters other than their defaults:",
            table(("parameter", "value"), settings),
        ]
    sections += ["## Training", *_training(estimator), "## Limits", _limits(estimator)]
    sections += ["## Licence", _licence(licence)]
    if type(estimator).__name__.startswith("DPNet"):
        sections += ["## Reference", _PAPER]
    return "\n\n".join(sections) + "\n"


def _metadata(estimator: Any, licence: str | None) -> str:
    if licence is not None and not (
        isinstance(licence, str) and _LICENCE.fullmatch(licence)
    ):
        raise ValueError(
            f"license={licence!r} is not an identifier of a licence: pass one such as "
            '"bsd-3-clause", "mit" or "cc-by-4.0", or None.'
        )
    lines = ["library_name: skdpnet"]
    if licence is not None:
        # In quotes: `no` and `1.0` are not text otherwise.
        lines.append(f'license: "{licence.lower()}"')
    if not estimator.is_precomputed:
        task = "classification" if is_classifier(estimator) else "feature-extraction"
        lines.append(f"pipeline_tag: image-{task}")
    lines += ["tags:", "  - skdpnet", "  - scikit-learn", "  - interpretability"]
    return "\n".join(["---", *lines, "---"])


def _summary(estimator: Any) -> str:
    name = type(estimator).__name__
    of_package = name in skdpnet.ESTIMATORS
    source = "of skdpnet" if of_package else "of its author's, on the base of skdpnet"
    input_ = "feature maps" if estimator.is_precomputed else "images"
    if is_classifier(estimator):
        several = ". Each may have several classes, or none"
        end = several if _has_several_labels(estimator) else ""
        return f"A `{name}` {source}, which classifies {input_} by learned parts{end}."
    if is_regressor(estimator):
        return f"A `{name}` {source}, which predicts numbers from parts of {input_}."
    return f"A `{name}` {source}, which describes {input_} by numbers."


def _usage(estimator: Any, repo_id: str) -> str:
    name = type(estimator).__name__
    own = "" if name in skdpnet.ESTIMATORS else f", estimators=[{name}]"
    inputs = "maps" if estimator.is_precomputed else '["image.jpg"]'
    predicts = is_classifier(estimator) or is_regressor(estimator)
    method = "predict" if predicts else "transform"
    lines = [
        'pip install "skdpnet[hub]"',
        "```\n\n```python",
        "import skdpnet",
        "",
        f'model = skdpnet.from_pretrained("{repo_id}"{own})',
        f"model.{method}({inputs})",
    ]
    if predicts and not estimator.is_precomputed:
        lines.append('model.explain("image.jpg").top_parts(3)  # what decided')
    return "\n".join(["```shell", *lines, "```"])


def _facts(estimator: Any) -> list[tuple[str, str]]:
    network = estimator._network
    facts = [
        ("estimator", code_span(type(estimator).__name__)),
        ("backbone", code_span(estimator.backbone)),
    ]
    if network is not None:
        facts += [
            ("image size", f"{network.image_size} px"),
            ("framing", code_span(network.framing)),
        ]
        if network.library:
            facts.append(("library of the backbone", code_span(network.library)))
    shapes = estimator.map_shapes_
    facts.append(("feature maps", ", ".join(_sides(shape) for shape in shapes)))
    if hasattr(estimator, "part_classes_"):
        facts.append(("parts", f"{len(estimator.part_classes_):,}"))
        with_parts = list(itertools.compress(shapes, have_parts(shapes)))
        facts.append(("feature maps with parts", str(len(with_parts))))
    if hasattr(estimator, "classes_"):
        facts.append(("classes", f"{len(estimator.classes_):,}"))
    return [*facts, ("saved by", f"skdpnet {skdpnet.__version__}")]


def _sides(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _classes(estimator: Any) -> str:
    classes = estimator.classes_.tolist()
    lines = [f"- {code_span(name)}" for name in classes[:_MOST_CLASSES]]
    if len(classes) > _MOST_CLASSES:
        lines.append(f"- and {len(classes) - _MOST_CLASSES:,} more")
    return "\n".join(lines)


def _settings(estimator: Any) -> list[tuple[str, str]]:
    defaults = inspect.signature(type(estimator)).parameters
    return [
        (f"`{name}`", code_span(repr(value)))
        for name, value in sorted(estimator.get_params(deep=False).items())
        if name not in _NO_SETTINGS and repr(value) != repr(defaults[name].default)
    ]


def _training(estimator: Any) -> list[str]:
    """Say what the model keeps of its training; accuracies are not among it."""
    rows = []
    if isinstance(getattr(estimator, "n_iter_", None), numbers.Integral):
        rows.append(("epochs or iterations", f"{estimator.n_iter_:,}"))
    notes = getattr(estimator, "notes_", None)
    notes = notes if isinstance(notes, dict) else {}
    digests = notes.get("training_digests")
    if isinstance(digests, list):
        rows.append(("distinct training images", f"{len(digests):,}"))
    share = notes.get("test_fraction")
    if _is_figure(share):
        rows.append(("share of the images that was held out", f"{share:.4g}"))
    epochs = getattr(estimator, "history_", None)
    last = epochs[-1] if epochs else {}
    rows += [
        (f"{code_span(name)} in the last epoch", f"{value:.4g}")
        for name, value in last.items()
        if name not in _NO_FIGURES and _is_figure(value)
    ]
    unmeasured = (
        "The model keeps no accuracy. Add to this page how well it predicts, and on "
        "which images that was measured."
    )
    if not rows:
        return [unmeasured]
    return [table(("", ""), rows), unmeasured]


def _is_figure(value: Any) -> bool:
    return (
        isinstance(value, numbers.Real)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def _has_several_labels(estimator: Any) -> bool:
    return getattr(estimator, "multilabel_", False)


def _limits(estimator: Any) -> str:
    lines = []
    if is_classifier(estimator) and not _has_several_labels(estimator):
        lines.append(
            "It answers with one of its classes for every image, also for one that "
            "shows none of them."
        )
    lines.append(
        "What it does with images that differ from those that it was fitted on (other "
        "cameras, places, framings) is not known from this page."
    )
    if hasattr(estimator, "part_classes_"):
        lines.append(
            "Explanations say which regions decided, not whether the decision is right."
        )
    if not estimator.is_precomputed:
        lines.append(
            "The backbone's weights are not in the file: they come from the package "
            "or the library that has them by this name, under a licence of their own."
        )
    return "\n".join(f"- {line}" for line in lines)


def _licence(licence: str | None) -> str:
    if licence is None:
        return "None is stated. Ask the owner before you use the model."
    return f"`{licence.lower()}`"
