"""The comparison of heads: what is chosen where, and what is computed of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin

from benchmarks.accuracy import heads, heads_measures, heads_table
from benchmarks.accuracy.heads_methods import DPNET, HEADS, Head
from benchmarks.explanations.image_sets import ImageSet
from skdpnet.datasets import make_part_images
from skdpnet.images.framing import Framing


class Recorder(ClassifierMixin, BaseEstimator):
    """Remember what it is fitted on and scored on; setting 2 is right most often."""

    seen: list = []

    def __init__(self, setting=0, random_state=None, memory=None):
        self.setting = setting
        self.random_state = random_state
        self.memory = memory

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        type(self).seen.append((self.setting, [*X], None))
        return self

    def score(self, X, y):
        type(self).seen.append((self.setting, None, [*X]))
        return 1.0 if self.setting >= 2 else 0.5


@pytest.fixture
def data():
    Recorder.seen.clear()
    return ImageSet(
        name="some",
        framing=Framing(32, "crop"),
        train=np.array([f"train{i}" for i in range(30)]),
        train_y=np.arange(30) % 3,
        test=np.array([f"test{i}" for i in range(9)]),
        test_y=np.arange(9) % 3,
        names=list("abc"),
    )


def test_tuning_knows_training_images_alone(data):
    head = Head(Recorder, tuple({"setting": k} for k in range(4)))
    choice = heads.choose(head, data, {})
    assert choice["configuration"] == {"setting": 2}  # the first of the best
    assert choice["accuracies"] == [0.5, 0.5, 1.0, 1.0]
    fitted = [set(X) for _, X, _ in Recorder.seen if X is not None]
    scored = [set(X) for _, _, X in Recorder.seen if X is not None]
    assert len(fitted) == len(scored) == 4
    for fit, held in zip(fitted, scored, strict=True):
        assert not fit & held and fit | held == set(data.train)
        assert len(held) == 10


def test_all_methods_choose_from_four_configurations():
    assert {len(head.configurations) for head in HEADS.values()} == {4}
    for name, head in HEADS.items():
        for configuration in head.configurations:
            model = head.estimator(configuration, seed=3, n_per_class=7)
            first = model[0] if head.is_followed_by_svm else model
            params = first.get_params()
            assert params["backbone"] == "efficientnet_lite0"
            # Encodings have no words of a map of one cell.
            assert ("average" in params["strides"]) != ("of cells" in name)
            if head.number is not None:
                assert params[head.number] == 7
            assert params.get("random_state", 3) == 3


def test_parts_and_svms_are_where_they_belong():
    without_parts = {
        "global descriptor of the last map + SVM",
        "global descriptor of the same maps + SVM",
        "words of cells + SVM",
        "LLC of cells + SVM",
        "VLAD of cells + SVM",
        "Fisher vectors of cells + SVM",
        "layout graph",
    }
    assert {name for name, head in HEADS.items() if not head.has_parts} == without_parts
    for name, head in HEADS.items():
        assert head.is_followed_by_svm == name.endswith("+ SVM")


def test_what_was_measured_is_not_measured_again():
    keys = heads.pending([], [DPNET, "ProtoTree"], [0, 1], [5, 10, 20])
    of_dpnet = [(k["seed"], k["n_per_class"]) for k in keys if k["method"] == DPNET]
    assert of_dpnet == [(0, 10), (1, 10), (0, 5), (0, 20)]
    of_tree = [k for k in keys if k["method"] == "ProtoTree"]
    assert [k["n_per_class"] for k in of_tree] == [None, None]
    lines = [{**key, "accuracy": 0.5} for key in keys[:3]]
    assert heads.pending(lines, [DPNET, "ProtoTree"], [0, 1], [5, 10, 20]) == keys[3:]


def test_the_interval_of_a_difference_covers_as_often_as_it_says():
    random, n, covered = np.random.default_rng(0), 300, 0
    for _ in range(100):
        # The first is right in 80 % of the images, the second in 70, independently.
        rows = [random.random(n) < share for share in (0.8, 0.7)]
        first, second = ("".join("01"[int(x)] for x in row) for row in rows)
        mean, low, high = heads_measures.difference([first], [second], n_draws=500)
        assert mean == pytest.approx(rows[0].mean() - rows[1].mean())
        covered += low <= 0.1 <= high
    assert 88 <= covered <= 100


def test_differences_are_paired_and_means_over_seeds():
    mean, low, high = heads_measures.difference(["1100", "1000"], ["0100", "0100"])
    assert mean == pytest.approx((2 + 1) / 8 - (1 + 1) / 8)
    assert low < mean < high
    same = heads_measures.difference(["10" * 50], ["10" * 50])
    assert same == (0, 0, 0)


def test_a_run_on_images_with_its_tables(tmp_path, monkeypatch, capsys):
    birds = make_part_images(60, n_classes=3, image_size=64, random_state=0)
    for i, (pixels, label) in enumerate(zip(birds.images, birds.target, strict=True)):
        part = "train" if i < 40 else "test"
        folder = tmp_path / "birds" / part / birds.target_names[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    quick = {
        name: Head(
            head.kind,
            head.configurations[:1],
            head.number,
            (*head.fixed, ("backbone", "efficientnet_lite0")),
        )
        for name, head in HEADS.items()
        if name in (DPNET, "global descriptor of the last map + SVM", "ProtoPNet")
    }
    for module in (heads, heads_table):
        monkeypatch.setattr(module, "HEADS", quick)
    command = ["--data", str(tmp_path / "birds"), "--image-size", "64", "--seeds", "0"]
    command += ["--memory", str(tmp_path / "maps"), "--output", str(tmp_path)]
    command += ["--methods", *quick, "--curve", "5"]
    heads.main(command)
    path = tmp_path / "heads_birds_64.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["method"], line["n_per_class"]) for line in lines] == [
        ("global descriptor of the last map + SVM", None),
        (DPNET, 10),
        (DPNET, 5),
        ("ProtoPNet", 10),
        ("ProtoPNet", 5),
    ]
    for line in lines:
        share = line["correct"].count("1") / 20
        assert line["accuracy"] == pytest.approx(share)
    assert lines[3]["parts"] == 30 and lines[4]["parts"] == 15
    heads.main(command)  # nothing is left to do
    assert len(path.read_text().splitlines()) == 5
    heads_table.main([str(path)])
    printed = capsys.readouterr().out
    assert f"| {DPNET} | {100 * lines[1]['accuracy']:.1f} |" in printed
    gap = 100 * (lines[3]["accuracy"] - lines[1]["accuracy"])
    assert f"{gap:+.1f} (" in printed
