"""Models whose decisions are explained: parts, scalers, searches, classifiers."""

from __future__ import annotations

from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skdpnet import DPNetClassifier, DPNetTransformer, SoftAssignParts
from tests.parts.dpnet.made_maps import quick

SVM = LinearSVC(random_state=0)
LOGISTIC = LogisticRegression(max_iter=1000)


def learned(**params):
    return quick(DPNetTransformer, max_epochs=1, **params)


def assigned():
    return SoftAssignParts(
        "precomputed", region_scales=(0.2, 0.4), n_parts_per_class=4, random_state=0
    )


def sparse_svm():
    return SGDClassifier(penalty="l1", random_state=0)


MODELS = {
    "DPNet": lambda: quick(DPNetClassifier, max_epochs=1),
    "DPNet, hard": lambda: quick(DPNetClassifier, max_epochs=1, beta=None),
    "DPNet in a pipeline": lambda: make_pipeline(quick(DPNetClassifier, max_epochs=1)),
    "SVM": lambda: make_pipeline(learned(), SVM),
    "logistic": lambda: make_pipeline(learned(), LOGISTIC),
    "ridge, no bias": lambda: make_pipeline(
        learned(), RidgeClassifier(fit_intercept=False)
    ),
    "SGD": lambda: make_pipeline(learned(), sparse_svm()),
    "search": lambda: make_pipeline(
        learned(), GridSearchCV(clone(SVM), {"C": [0.1, 1]}, cv=2)
    ),
    "search of all": lambda: GridSearchCV(
        make_pipeline(assigned(), clone(SVM)), {"linearsvc__C": [0.1, 1]}, cv=2
    ),
    "scaled": lambda: make_pipeline(learned(), StandardScaler(), LOGISTIC),
    "scaled thrice": lambda: Pipeline(
        [
            ("parts", learned()),
            ("none", "passthrough"),
            ("mean", StandardScaler(with_std=False)),
            ("rest", make_pipeline(StandardScaler(with_mean=False), StandardScaler())),
            ("svm", clone(SVM)),
        ]
    ),
    "two stages": lambda: make_pipeline(assigned(), LOGISTIC),
    "classifier as parts": lambda: make_pipeline(
        quick(DPNetClassifier, max_epochs=1), clone(SVM)
    ),
    "named parts": lambda: make_pipeline(
        learned().set_output(transform="pandas"), clone(SVM)
    ),
}
