"""What a report says of images, parts and classes is what `explain` computes."""

from __future__ import annotations

import re

import numpy as np
import pytest

from skdpnet import explain, explain_class, part_gallery
from tests.reporting.pages import pixels


def part_of(row):
    return int(next(row.all("a", "part"))["href"].removeprefix("#part-"))


def check_decision(decision, why, view_scale):
    """Compare a table and its boxes with an `Explanation`."""
    rows = list(decision.only("tbody").all("tr"))
    *listed, rest, bias, total = rows
    parts = [part_of(row) for row in listed]
    np.testing.assert_allclose(
        [row.value for row in listed], why.contributions[parts], rtol=1e-5
    )
    others = np.delete(why.contributions, parts)
    assert rest.value == pytest.approx(others.sum(), rel=1e-4, abs=1e-6)
    assert f"{len(others)} other" in rest.text
    assert bias.value == pytest.approx(why.bias, rel=1e-5)
    assert total.value == pytest.approx(why.score, rel=1e-5)
    assert sum(row.value for row in rows[:-1]) == pytest.approx(why.score, abs=1e-4)
    marked = {
        row["data-mark"]: part_of(row)
        for row in listed
        if "data-mark" in row.attributes
    }
    numbered = [part for mark, part in marked.items() if mark.isdigit()]
    assert numbered == why.top_parts(len(numbered)).tolist()
    frames = {frame["data-mark"]: frame for frame in decision.all("a", "frame")}
    assert frames.keys() == marked.keys()
    for mark, part in marked.items():
        assert frames[mark]["href"] == f"#part-{part}"
        rect = list(frames[mark].all("rect"))[1]
        x, y, width, height = (float(rect[k]) for k in ("x", "y", "width", "height"))
        drawn = np.array([x, y, x + width, y + height])
        # Frames of the same box surround each other; the first is the box itself.
        box = why.boxes[part] * view_scale
        np.testing.assert_allclose(drawn, box, atol=2 if mark == "1" else 20)
        assert (np.maximum(drawn[:2] - box[:2], box[2:] - drawn[2:]) <= 2).all()
    return parts, marked


def test_images_are_explained_as_by_explain(written):
    cards = list(written.page.all("article", "image"))
    right = [card for card in cards if "right" in card["class"].split()]
    wrong = [card for card in cards if "wrong" in card["class"].split()]
    numbers = [int(card["id"].removeprefix("image-")) for card in wrong]
    assert set(numbers) == set(np.flatnonzero(written.predicted != written.y_test))
    assert len(right) + len(wrong) == len(cards)
    for card in cards:
        i = int(card["id"].removeprefix("image-"))
        why = explain(written.model, written.X_test[i], apply_exif=True)
        assert why.predicted == written.predicted[i]
        decisions = list(card.all("div", "decision"))
        scale = 320 / 96
        parts, _ = check_decision(decisions[0], why, scale)
        negative = np.argsort(why.contributions)[: len(parts) - len(why.top_parts(5))]
        assert parts[len(why.top_parts(5)) :] == negative.tolist()
        truth = written.y_test[i]
        assert len(decisions) == 1 + (truth != why.predicted)
        if truth != why.predicted:
            lead = why.difference(truth)
            _, marked = check_decision(decisions[1], lead, scale)
            lettered = [part for mark, part in marked.items() if not mark.isdigit()]
            other = explain(written.model, written.X_test[i], truth)
            expected = other.difference(why.predicted).top_parts(3)
            assert lettered == expected.tolist()
        scores = card.only("p", "scores")
        values = [float(data["value"]) for data in scores.all("data")]
        assert values[:3] == pytest.approx(sorted(why.scores)[:-4:-1], rel=1e-5)
        links = [a["href"] for a in scores.all("a")]
        assert f"#class-{written.labels.index(truth)}" in links
        drawn = written.bitmap(
            card.only("span", "pixels")
            if len(decisions) == 1
            else next(card.all("span", "pixels"))
        )
        assert drawn.shape == (64, 96, 3)
        assert np.median(np.abs(drawn.astype(int) - written.X_test[i])) < 6


def test_right_images_are_the_first_of_each_class(written):
    shown = [card["id"] for card in written.page.all("article", "right")]
    expected = []
    for label in written.labels:
        of_class = (written.y_test == label) & (written.predicted == label)
        expected += [f"image-{i}" for i in np.flatnonzero(of_class)[:2]]
    assert shown == expected


def test_heat_maps_lie_where_explain_says(written):
    card = next(written.page.all("article", "wrong"))
    i = int(card["id"].removeprefix("image-"))
    why = explain(written.model, written.X_test[i], apply_exif=True)
    for decision, explanation in zip(
        card.all("div", "decision"),
        (why, why.difference(written.y_test[i])),
        strict=True,
    ):
        heat = explanation.heat_map()
        images = {"mask" in image.attributes: image for image in decision.all("image")}
        for striped, sign in ((False, 1), (True, -1)):
            part = np.clip(sign * heat, 0, None)
            assert (striped in images) == bool(part.any())
            if not part.any():
                continue
            alpha = pixels(images[striped]["href"])[..., 3].astype(float)
            np.testing.assert_allclose(
                (alpha / 255 / 0.8) ** 2, part / np.abs(heat).max(), atol=0.01
            )
            place = [float(images[striped][k]) for k in ("x", "y", "width", "height")]
            # The centred square of an image of 96×64, shown 320 wide.
            expected = np.array([16, 0, 64, 64]) * 320 / 96
            np.testing.assert_allclose(place, expected, atol=0.1)


def test_participation_is_that_of_explain_class(written):
    weights = written.model.coef_
    for c, label in enumerate(written.labels):
        why = explain_class(
            written.model, label, written.X_test[written.y_test == label]
        )
        section = written.element(f"class-{c}")
        first, *others = section.all("ul", "parts")
        rows = list(first.all("li", "participation"))
        expected = [
            p for p in why.order if why.weights[p] > 0 and why.contributions[p] > 0
        ]
        assert [part_of(row) for row in rows] == expected[:2]
        for row in [*rows, *(row for other in others for row in other.all("li"))]:
            p = part_of(row)
            contribution, weight, *_ = (float(d["value"]) for d in row.all("data"))
            assert contribution == pytest.approx(why.contributions[p], rel=1e-4)
            assert weight == pytest.approx(weights[c, p], rel=1e-5)
        *_, summed = (p for p in section.all("p", "note") if "mean score" in p.text)
        values = [float(data["value"]) for data in summed.all("data")]
        assert values[2] == pytest.approx(why.score, rel=1e-4)
        assert sum(row.value for row in rows) + values[0] + values[1] == pytest.approx(
            why.score, abs=1e-4
        )


def test_each_part_is_listed_under_the_class_it_was_learned_for(written):
    entries = [
        n for n in written.page.all("li", "participation") if "id" in n.attributes
    ]
    assert entries
    for entry in entries:
        p = int(entry["id"].removeprefix("part-"))
        section = entry.parent.parent
        assert section["id"] == f"class-{written.model.part_classes_[p]}"
        gallery = part_gallery(written.model, p, written.X, 3, apply_exif=True)
        crops = list(entry.only("span", "crops").all("span", "crop"))
        for crop, i, box in zip(crops, gallery.images, gallery.boxes, strict=True):
            left, top, right, bottom = box.round().astype(int)
            region = written.X[i, top:bottom, left:right].astype(int)
            drawn = written.bitmap(crop)
            assert drawn.shape == region.shape
            assert np.median(np.abs(drawn - region)) < 10
            assert crop["title"].startswith(f"training image {i}, ")


def test_bars_stay_within_their_place(written):
    shares = re.findall(r"--share:([\d.]+)", written.html)
    assert len(shares) > 50
    assert max(map(float, shares)) == 1
