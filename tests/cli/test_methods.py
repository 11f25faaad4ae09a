"""The methods that commands know by a name, and the estimators that they are."""

from __future__ import annotations

import argparse

import pytest
from sklearn.base import is_classifier
from sklearn.model_selection import GridSearchCV
from sklearn.svm import LinearSVC

import skdpnet
from skdpnet.base.part_estimator import PartEstimator
from skdpnet.cli.methods import FITTED, METHODS, fitted_method


def test_each_classifier_with_parts_has_a_name():
    classifiers = {
        name
        for name in skdpnet.ESTIMATORS
        if issubclass(getattr(skdpnet, name), PartEstimator)
        and is_classifier(getattr(skdpnet, name)())
    }
    assert {METHODS[name].estimator for name in FITTED} == classifiers


@pytest.mark.parametrize("name", METHODS)
def test_a_method_makes_its_estimator(name):
    method = METHODS[name]
    model = method.make(5, random_state=3, backbone="resnet50", image_size=64)
    first = model[0] if method.with_svm else model
    assert type(first) is getattr(skdpnet, method.estimator)
    assert (first.backbone, first.image_size) == ("resnet50", 64)
    if method.has_parts:
        assert first.random_state == 3
    if method.parts is not None:
        assert method.parts in first.get_params()
    dpnet = skdpnet.DPNetClassifier()
    assert (first.strides == dpnet.strides) == (name != "global")


@pytest.mark.parametrize("n_smallest, folds", [(1, None), (2, 2), (9, 3)])
def test_few_images_are_validated_in_few_folds(n_smallest, folds):
    svm = METHODS["global"].make(n_smallest, random_state=0)[-1]
    if folds is None:
        assert isinstance(svm, LinearSVC)
    else:
        assert isinstance(svm, GridSearchCV) and svm.cv == folds


def test_two_estimators_are_not_one_model_file():
    assert fitted_method("pipnet") == "pipnet"
    with pytest.raises(argparse.ArgumentTypeError, match="two estimators"):
        fitted_method("two-stage")
