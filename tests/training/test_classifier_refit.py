"""The refits of V: when they happen, and on which descriptors."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skdpnet import DPNetClassifier
from skdpnet.training.classifier_refit import ClassifierRefit
from tests.parts.dpnet.made_maps import part_maps, quick

PRESENT = np.ones((3, 4), np.float32), np.zeros(3, np.float32)


class FakeModel:
    """A module that only has a classifier."""

    def __init__(self):
        self.classifier = PRESENT

    def get_classifier(self):
        return self.classifier

    def set_classifier(self, coef, intercept):
        self.classifier = coef, intercept


class Fits:
    """A fit that keeps its arguments, and returns other classifiers each time."""

    def __init__(self):
        self.calls: list[tuple] = []

    def __call__(self, descriptors, labels, weights, present):
        self.calls.append((descriptors, labels, weights, present))
        n = np.float32(len(self.calls))
        return n * PRESENT[0], n * np.ones(3, np.float32)


@pytest.fixture
def fits():
    return Fits()


@pytest.fixture
def net():
    return SimpleNamespace(module_=FakeModel())


def batch(seed, n):
    """Descriptors, labels and weights of n images."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.rand(n, 4, generator=generator, requires_grad=True),
        torch.arange(n) % 3,
        torch.rand(n, generator=generator),
    )


def end_batch(refit, net, images, training=True):
    descriptors, labels, weights = images
    refit.on_batch_end(
        net,
        batch=({"maps": []}, (labels, weights)),
        training=training,
        y_pred=SimpleNamespace(descriptor=descriptors),
    )


def assert_images(found, *batches):
    expected = [torch.cat(tensors) for tensors in zip(*batches, strict=True)]
    for array, tensor in zip(found, expected, strict=True):
        assert isinstance(array, np.ndarray)
        np.testing.assert_array_equal(array, tensor.detach().numpy())


def test_it_fits_before_each_epoch_but_the_first(net, fits):
    refit = ClassifierRefit(fits)
    batches = [[batch(0, 5), batch(1, 3)], [batch(2, 5), batch(3, 3)]]
    for epoch in batches:
        refit.on_epoch_begin(net)
        for images in epoch:
            end_batch(refit, net, images)
    assert len(fits.calls) == 1
    assert_images(fits.calls[0][:3], *batches[0])
    assert fits.calls[0][3] is PRESENT
    np.testing.assert_array_equal(net.module_.classifier[1], 1)
    refit.on_epoch_begin(net)
    # On the last epoch alone, from the classifier of the fit before.
    assert_images(fits.calls[1][:3], *batches[1])
    np.testing.assert_array_equal(fits.calls[1][3][1], 1)
    np.testing.assert_array_equal(net.module_.classifier[1], 2)


def test_validation_batches_are_left_out(net, fits):
    refit = ClassifierRefit(fits)
    first, second = batch(0, 5), batch(1, 3)
    end_batch(refit, net, first)
    end_batch(refit, net, second, training=False)
    refit.on_epoch_begin(net)
    assert_images(fits.calls[0][:3], first)


def test_descriptors_are_taken_once_or_forgotten(net, fits):
    refit = ClassifierRefit(fits)
    assert refit.take() is None
    images = batch(0, 5)
    end_batch(refit, net, images)
    assert_images(refit.take(), images)
    assert refit.take() is None
    end_batch(refit, net, images)
    refit.forget()
    assert refit.take() is None
    refit.on_epoch_begin(net)
    assert fits.calls == []
    assert net.module_.classifier is PRESENT


def test_kept_descriptors_hold_no_graph(net, fits):
    refit = ClassifierRefit(fits)
    end_batch(refit, net, batch(0, 5))
    assert not any(tensor.requires_grad for tensor in refit.batches[0])


class Watch(Callback):
    """Keeps the descriptors of each training batch, and V in each epoch."""

    def __init__(self):
        self.batches: list[list[np.ndarray]] = []
        self.classifiers: list[np.ndarray] = []

    def on_epoch_begin(self, net, **kwargs):
        self.batches.append([])

    def on_batch_end(self, net, batch=None, training=False, y_pred=None, **kwargs):
        if training:
            self.batches[-1].append(y_pred.descriptor.detach().numpy().copy())
        self.classifiers.append(net.module_.get_classifier()[0])


@pytest.mark.parametrize("fraction", [None, 0.3])
def test_a_fit_refits_on_all_training_images_of_an_epoch(monkeypatch, fraction):
    X, y, _ = part_maps(90)
    calls, watch = [], Watch()
    original = ClassifierRefit.on_epoch_begin

    def on_epoch_begin(self, net, **kwargs):
        kept = [tensors[0].numpy() for tensors in self.batches]
        before = net.module_.get_classifier()[0]
        original(self, net, **kwargs)
        calls.append((kept, before, net.module_.get_classifier()[0]))

    monkeypatch.setattr(ClassifierRefit, "on_epoch_begin", on_epoch_begin)
    model = quick(
        DPNetClassifier,
        max_epochs=3,
        batch_size=16,
        # V may be good enough already where the parts hardly move, or with the penalty.
        lr=2e-2,
        specificity_weight=0,
        callbacks=[watch],
        validation_fraction=fraction,
    ).fit(X, y)
    n = 90 if fraction is None else 63
    assert len(calls) == 3 == len(watch.batches)
    kept, before, after = calls[0]
    assert kept == []
    np.testing.assert_array_equal(before, after)
    for (kept, before, after), seen in zip(calls[1:], watch.batches, strict=False):
        # The descriptors before dropout, in the order of training.
        np.testing.assert_array_equal(np.concatenate(kept), np.concatenate(seen))
        assert sum(map(len, kept)) == n
        assert np.abs(before - after).max() > 1e-4
    # V is the same in all steps of an epoch.
    per_epoch = len(watch.classifiers) // 3
    for epoch in range(3):
        first, *others = watch.classifiers[epoch * per_epoch : (epoch + 1) * per_epoch]
        for other in others:
            np.testing.assert_array_equal(other, first)
    refit = dict(model.net_.callbacks_)["classifier_refit"]
    assert refit.batches == []
