"""Where the time of a fit goes."""

from __future__ import annotations

from sklearn.datasets import load_iris

from benchmarks.speed import fit
from skdpnet import DPNetClassifier


def test_every_stage_of_a_fit_is_found():
    X, y = load_iris(return_X_y=True)
    with fit.timed(fit.STAGES) as seconds:
        DPNetClassifier("precomputed", max_epochs=2, random_state=0).fit(X, y)
    assert seconds.keys() == {*fit.STAGES, fit.OTHER}
    # Stages within others are counted once.
    names: list[str] = []

    class Nested:
        def outer(self):
            names.append("outer")
            self.inner()

        def inner(self):
            names.append("inner")

    stages = {"outer": [(Nested, "outer")], "inner": [(Nested, "inner")]}
    with fit.timed(stages) as seconds:
        Nested().outer()
    assert names == ["outer", "inner"]
    assert seconds.keys() == {"outer", "inner", fit.OTHER}
    assert not hasattr(Nested.inner, "__wrapped__")


def test_refits_count_as_a_whole():
    class Nested:
        def refit(self):
            self.fit()

        def fit(self):
            pass

    name = "refits of the classifier"
    stages = {name: [(Nested, "refit")], "first classifier": [(Nested, "fit")]}
    with fit.timed(stages) as seconds:
        Nested().refit()
    assert seconds.keys() == {name, fit.OTHER}
