"""Reports of all kinds of models, labels and images, and what `report` refuses."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import skdpnet.reporting.html_report
from skdpnet import DPNetTransformer
from skdpnet.images import ImageError
from skdpnet.reporting import report
from tests.display.models import Colours
from tests.parts.dpnet.made_maps import part_maps, quick
from tests.reporting.pages import Report, Tree, coloured, many_classes, pixels, small


@pytest.fixture(scope="module")
def model():
    X, y = coloured(24, 4)
    return small().fit(X, y)


@pytest.mark.parametrize(
    "labels",
    [[10, 20], [False, True], [1.0, 2.0], ["a", "b"], np.array(["", " "], object)],
    ids=str,
)
def test_labels_may_be_of_any_kind(labels, tmp_path):
    X, y = coloured(12, 2)
    labels = np.asarray(labels)
    written = Report(tmp_path, small(), X, labels[y], X[:7], labels[1 - y[:7]])
    heads = [
        next(s.all("h3")).text for s in written.page.all("section", "class-section")
    ]
    assert heads == [str(label).strip() or "(empty name)" for label in labels]
    assert written.element("accuracy")["value"] == str(
        (written.predicted == written.y_test).mean()
    )


def test_a_pipeline_of_two_classes_in_which_one_is_not_tested(tmp_path):
    X, y = coloured(12, 2)
    settings = small().get_params()
    parts = DPNetTransformer(**settings)
    pipe = make_pipeline(parts, StandardScaler(), LinearSVC(random_state=0))
    written = Report(tmp_path, pipe, X, y, X[y == 1], y[y == 1], title="<i>Two</i>")
    assert (
        written.page.only("title").text == written.page.only("h1").text == "<i>Two</i>"
    )
    assert "DPNetTransformer on Colours" in written.page.only("p", "model").text
    section = written.element("class-0")
    assert "No test image is of this class" in section.text
    weights = [
        float(list(row.all("data"))[1]["value"])
        for row in next(section.all("ul", "parts")).all("li")
    ]
    assert weights == sorted(weights, reverse=True)
    assert min(weights) > 0


def test_turned_files_are_shown_upright(tmp_path):
    X, y = coloured(12, 2)
    folder = tmp_path / "<b>"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    paths = []
    for i, image in enumerate(X):
        paths.append(folder / f"{i} & <i>.png")
        stored = Image.fromarray(image).transpose(Image.Transpose.ROTATE_90)
        stored.save(paths[-1], exif=exif)
    model = small(context=False)
    written = Report(tmp_path, model, paths, y, paths[:4], y[:4])
    assert str(folder) not in written.html
    for card in written.page.all("article"):
        i = int(card["id"].removeprefix("image-"))
        assert card.only("bdi", "file").text == f"{i} & <i>.png"
        drawn = written.bitmap(card.only("span", "pixels"))
        assert np.median(np.abs(drawn.astype(int) - X[i])) < 6
    frames = [
        next(reversed([*card.all("a", "frame")]))
        for card in written.page.all("article")
    ]
    for frame, card in zip(frames, written.page.all("article"), strict=True):
        i = int(card["id"].removeprefix("image-"))
        rect = list(frame.all("rect"))[1]
        x, top, width, height = (
            float(rect[k]) * 96 / 320 for k in ("x", "y", "width", "height")
        )
        inside = X[i, round(top) : round(top + height), round(x) : round(x + width)]
        spread = inside.max(-1).astype(int) - inside.min(-1)
        assert (spread > 150).mean() > 0.3  # of the strong colours, not the noise


def test_few_images_are_shown_of_many_and_the_page_says_so(model, tmp_path):
    X, y = coloured(40, 4, seed=2)
    y = np.sort(y)  # class by class, as folders come
    predicted = model.predict(X)
    n_wrong = (predicted != y).sum()
    assert n_wrong > 20
    path = report(model, X[:20], X, y, tmp_path / "r.html", n_wrong=5, n_right=1)
    page = Tree(path.read_text("utf-8")).root
    shown = [int(a["id"].removeprefix("image-")) for a in page.all("article", "wrong")]
    by_class = [np.flatnonzero((predicted != y) & (y == c)).tolist() for c in range(4)]
    turns = [
        images[turn] for turn in range(5) for images in by_class if turn < len(images)
    ]
    assert sorted(shown) == sorted(turns[:5])
    assert f"5 of the {n_wrong} wrong ones" in page.only(id="images").text
    assert "of each class the first right one." in " ".join(
        page.only(id="images").text.split()
    )
    none = report(model, X[:9], X, y, tmp_path / "0.html", n_wrong=0, n_right=0)
    assert not list(Tree(none.read_text("utf-8")).root.all("article"))


def test_many_classes_have_a_matrix_of_one_pixel_a_cell(tmp_path):
    written = many_classes(tmp_path)
    assert not list(written.page.all("table", "matrix"))
    image = pixels(written.page.only("img")["src"])
    numbers = {label: c for c, label in enumerate(written.labels)}
    expected = np.zeros((30, 30), bool)
    for true, predicted in zip(written.y_test, written.predicted, strict=True):
        expected[numbers[true], numbers[predicted]] = True
    np.testing.assert_array_equal(image[..., 3] > 0, expected)
    rows = written.page.only(id="confusions").only("tbody").all("tr")
    assert len(list(rows)) == 30


def test_each_image_goes_through_the_network_once(tmp_path):
    seen = []

    class Counting(Colours):
        def forward(self, x):
            seen.append(len(x))
            return super().forward(x)

    X, y = coloured(12, 2)
    model = small().set_params(backbone=Counting()).fit(X, y)
    seen.clear()
    report(model, X, X[:5], y[:5], tmp_path / "r.html")
    assert sum(seen) == 12 + 5


def test_progress_is_shown_on_request(model, tmp_path, capsys):
    X, y = coloured(8, 4)
    report(model, X, X, y, tmp_path / "r.html")
    assert capsys.readouterr() == ("", "")
    report(model, X, X, y, tmp_path / "r.html", verbose=1)
    shown = capsys.readouterr().err
    for stage in ("explaining X_test", "images of X_test", "crops of X_train"):
        assert stage in shown
    assert "8/8" in shown


def test_the_page_appears_whole_or_not_at_all(model, tmp_path, monkeypatch):
    X, y = coloured(8, 4)
    path = tmp_path / "r.html"
    path.write_text("old")

    def fail(*args):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(skdpnet.reporting.html_report.os, "replace", fail)
        with pytest.raises(OSError, match="no space left"):
            report(model, X, X, y, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    assert report(model, X, X, y, str(path)) == path
    assert path.read_text("utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [path]


def test_bad_arguments_are_refused_before_any_work(model, tmp_path, monkeypatch):
    X, y = coloured(8, 4)
    path = tmp_path / "r.html"

    def no_work(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(skdpnet.reporting.html_report, "gather", no_work)
    with pytest.raises(FileNotFoundError, match="there is no folder .*none.*make it"):
        report(model, X, X, y, tmp_path / "none" / "r.html")
    with pytest.raises(IsADirectoryError, match="is a folder: name a file"):
        report(model, X, X, y, tmp_path)
    with pytest.raises(ValueError, match="X_test has 8 and y_test 7"):
        report(model, X, X, y[:7], path)
    with pytest.raises(ValueError, match=r"1 label .* first 'owl' \(item 1\).* 0, 1,"):
        report(model, X, X, np.array([0, "owl", 2, 3] * 2, object), path)
    odd = np.array([0, "owl", 2, 3, None, 1, 2, 3], object)
    with pytest.raises(ValueError, match=r"2 labels .* first 'owl' \(item 1\)"):
        report(model, X, X, odd, path)
    for missing in ([0, 1, np.nan], np.ma.array([0, 1, 2], mask=[0, 0, 1])):
        with pytest.raises(ValueError, match=r"first (nan|None) \(item 2\)"):
            report(model, X, X[:3], missing, path)
    with pytest.raises(ValueError, match=r"first '1' \(item 1\)"):
        report(model, X, X[:2], [0, "1"], path)
    for name, value in [
        ("n_parts", 0),
        ("n_crops", 1.5),
        ("n_wrong", -1),
        ("n_right", True),
    ]:
        with pytest.raises(ValueError, match=f"{name} must be a whole number of at"):
            report(model, X, X, y, path, **{name: value})
    with pytest.raises(NotFittedError):
        report(small(), X, X, y, path)
    for name, sets in (("X_train", (["no.png"], X)), ("X_test", (X, ["no.png"]))):
        with pytest.raises(ImageError, match=r"no\.png") as caught:
            report(model, *sets, y, path)
        assert caught.value.__notes__ == [f"This is about {name}."]
    maps, labels, _ = part_maps(20)
    model_of_maps = quick(skdpnet.DPNetClassifier, max_epochs=0).fit(maps, labels)
    with pytest.raises(ValueError, match="report shows images.*precomputed"):
        report(model_of_maps, maps, maps, labels, path)
    assert not path.exists()


def test_one_file_is_the_same_each_time(model, tmp_path):
    X, y = coloured(8, 4)
    paths = [report(model, X, X, y, tmp_path / name) for name in ("a.html", "b.html")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert not re.search(rb"\bnan\b", paths[0].read_bytes().split(b"<script>")[0])
    assert torch.is_grad_enabled()


class WithAverage(Colours):
    """The map of colours, and the average colour of the image."""

    def forward(self, x):
        return super().forward(x), x.mean(dim=(2, 3), keepdim=True)


def test_the_maps_that_have_no_parts_are_not_listed(tmp_path):
    X, y = coloured(12, 2)
    estimator = small().set_params(backbone=WithAverage())
    written = Report(tmp_path, estimator, X, y, X[:3], y[:3])
    assert estimator.map_shapes_[1] == (1, 1, 3)
    rows, columns, _ = estimator.map_shapes_[0]
    line = written.page.only("p", "model").text
    assert line.endswith(f" parts on maps of {rows}×{columns} cells")
