"""Reports of trees: the path of each image, with its answers and its regions."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from skdpnet import ProtoTreeClassifier
from skdpnet.explanations.crops import crop
from skdpnet.images.collection import as_images
from tests.display.models import Colours
from tests.reporting.pages import SHARED_LABELS, Report, coloured


def tree(**params):
    settings = {"image_size": 64, "n_components": None, "pruning_threshold": 0}
    return ProtoTreeClassifier(Colours(), depth=2, random_state=0, **settings, **params)


def report_of(folder, model):
    X, y = coloured(30, 3)
    X_test, z = coloured(12, 3, seed=1)
    truth = SHARED_LABELS[z]
    truth[1] = SHARED_LABELS[0]  # it is wrong in any case
    return Report(folder, model, X, SHARED_LABELS[y], X_test, truth)


@pytest.fixture(scope="module", params=["distributed", "greedy"])
def written(request, tmp_path_factory):
    return report_of(tmp_path_factory.mktemp("tree"), tree(decision=request.param))


def paths_of(written):
    """The images of the page, each with its path on the page and that of the model."""
    for image in written.page.all("article", "image"):
        number = int(image["id"].removeprefix("image-"))
        steps = list(image.only("ol", "path").all("li"))
        yield number, steps, written.model.path(written.X_test[number])


def test_each_image_has_the_path_of_the_model(written):
    n_images = 0
    for _, (*steps, leaf), path in paths_of(written):
        n_images += 1
        assert len(steps) == len(path.nodes)
        each = zip(steps, path.prototypes, path.presences, path.went_right, strict=True)
        for step, part, presence, found in each:
            assert step.only("a", "part")["href"] == f"#part-{part}"
            assert step["class"] == ("found" if found else "missing")
            assert step.only("strong").text == ("found" if found else "not found")
            assert f"{100 * presence:.1f}%" in step.text
        assert path.predicted in leaf.text
        assert f"{100 * path.distribution.max():.1f}% of the leaf" in leaf.text
        assert f"path of {100 * path.probability:.1f}%" in leaf.text
    assert n_images >= 4


def test_a_step_shows_the_part_and_the_image_s_region(written):
    for number, (*steps, _), path in paths_of(written):
        image = as_images([written.X_test[number]]).load(0)
        for step, part, box in zip(steps, path.prototypes, path.boxes, strict=True):
            of_part, region = step.all("span", "crop")
            (entry,) = [
                node
                for node in written.page.all("li")
                if node.attributes.get("id") == f"part-{part}"
            ]
            first = next(entry.all("span", "crop"))
            assert of_part["class"] == first["class"], "its strongest crop"
            shown = written.bitmap(region).mean(axis=(0, 1))
            expected = np.asarray(crop(image, box)).mean(axis=(0, 1))
            # JPEGs of some hundred pixels lose a little of their colours.
            assert np.abs(shown - expected).max() < 12


def test_links_of_a_path_lead_somewhere(written):
    ids = {node.attributes.get("id") for node in written.page.all()}
    for _, steps, _ in paths_of(written):
        for step in steps:
            for link in step.all("a"):
                assert link["href"].removeprefix("#") in ids
    assert "most probable path" in written.page.text


def test_a_tree_whose_presences_another_classifier_reads_has_no_path(tmp_path):
    page = report_of(tmp_path, make_pipeline(tree(), LinearSVC())).page
    assert not list(page.all("ol", "path"))
    assert "most probable path" not in page.text
