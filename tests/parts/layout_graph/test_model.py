"""The graph network against NumPy, and what holds whatever its weights are."""

import numpy as np
import pytest
import torch

from skdpnet.parts.layout_graph.model import (
    GraphObjective,
    LayoutGraphModel,
    contributions,
    convolve,
    layer_shapes,
    pair_geometry,
    read_out,
    relations,
    run_graph,
)

DEPTHS, HIDDEN, N_LAYERS, N_CLASSES = (5, 3), 8, 2, 4
N_EACH, N_IMAGES = (4, 3), 6


@pytest.fixture
def layers():
    rng = np.random.default_rng(0)
    shapes = layer_shapes(DEPTHS, HIDDEN, N_LAYERS, N_CLASSES)
    return {name: tensor(rng.normal(size=shape)) for name, shape in shapes.items()}


@pytest.fixture
def inputs():
    rng = np.random.default_rng(1)
    described = [
        tensor(rng.normal(size=(N_IMAGES, n, k)))
        for n, k in zip(N_EACH, DEPTHS, strict=True)
    ]
    start = rng.random((N_IMAGES, sum(N_EACH), 2)) * 0.7
    boxes = np.concatenate([start, start + 0.1 + 0.2 * rng.random(start.shape)], axis=2)
    present = np.ones((N_IMAGES, sum(N_EACH)), bool)
    present[1, 3], present[2, :5], present[3] = False, False, False
    return described, tensor(boxes), torch.from_numpy(present)


def tensor(array):
    return torch.from_numpy(np.asarray(array, np.float64))


def softmax(values):
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def test_with_the_identity_as_relations_nodes_are_a_perceptron_each(layers):
    nodes = np.random.default_rng(2).random((2, 5, HIDDEN))
    identity = torch.eye(5, dtype=torch.float64).expand(2, 5, 5)
    found = convolve(layers, tensor(nodes), identity, identity)
    expected = nodes
    for layer in range(N_LAYERS):
        expected = sum(
            np.maximum(expected @ layers[f"{relation}{layer}"].numpy().T, 0)
            for relation in ("spatial", "semantic")
        )
    np.testing.assert_allclose(found, expected)
    pooled = read_out(found, torch.ones(2, 5, dtype=bool))
    means_and_maxima = [expected.mean(axis=1), expected.max(axis=1)]
    np.testing.assert_allclose(pooled, np.hstack(means_and_maxima))


def test_nodes_look_at_others_as_the_relations_say(layers):
    """A node whose rows name another one becomes what that one would become."""
    nodes = tensor(np.random.default_rng(3).random((1, 3, HIDDEN)))
    one = {name: layers[name] for name in ("spatial0", "semantic0")}
    swap = torch.eye(3, dtype=torch.float64)[[1, 0, 2]][None]
    identity = torch.eye(3, dtype=torch.float64)[None]
    plain = convolve(one, nodes, identity, identity)
    torch.testing.assert_close(convolve(one, nodes, swap, swap), plain[:, [1, 0, 2]])
    mixed = convolve(one, nodes, swap, identity)[0, 0].numpy()
    a, b = (nodes[0, i].numpy() for i in (1, 0))
    expected = np.maximum(one["spatial0"].numpy() @ a, 0)
    expected += np.maximum(one["semantic0"].numpy() @ b, 0)
    np.testing.assert_allclose(mixed, expected)


def test_geometry_of_two_regions():
    # A square, and one of twice its sides that begins at its centre.
    boxes = tensor([[[0.0, 0.0, 0.2, 0.1], [0.1, 0.05, 0.5, 0.25]]])
    found = pair_geometry(boxes)[0]
    # The centres are 0.2 and 0.1 apart, and the mean sides are 0.3 and 0.15.
    union = 0.02 + 0.08 - 0.005
    there = [2 / 3, 2 / 3, np.log(4), 0.005 / union]
    np.testing.assert_allclose(found[0, 1], there)
    back = [-2 / 3, -2 / 3, -np.log(4), 0.005 / union]
    np.testing.assert_allclose(found[1, 0], back)
    np.testing.assert_allclose(found[0, 0], [0, 0, 0, 1], atol=1e-12)


def test_relations_are_those_of_their_formulas(layers, inputs):
    _, boxes, present = inputs
    nodes = np.random.default_rng(4).random((N_IMAGES, 7, HIDDEN))
    spatial, semantic = relations(layers, tensor(nodes), boxes, present)
    arrays = {name: weight.numpy() for name, weight in layers.items()}
    geometry = pair_geometry(boxes).numpy()
    for n in range(N_IMAGES):
        here = np.flatnonzero(present[n].numpy())
        expected = np.zeros((2, 7, 7))
        for i in here:
            units = geometry[n, i, here] @ arrays["geometry_weight"].T
            units = np.maximum(units + arrays["geometry_bias"], 0)
            expected[0, i, here] = softmax(units @ arrays["geometry_out"][0])
            products = (nodes[n, here] @ arrays["psi"].T) @ (
                arrays["phi"] @ nodes[n, i]
            )
            expected[1, i, here] = softmax(products / np.sqrt(len(arrays["phi"])))
        np.testing.assert_allclose(spatial[n], expected[0], atol=1e-12)
        np.testing.assert_allclose(semantic[n], expected[1], atol=1e-12)


def test_the_order_of_the_nodes_does_not_matter(layers, inputs):
    described, boxes, present = inputs
    orders = np.array([2, 0, 3, 1]), np.array([1, 2, 0])
    whole = np.concatenate([orders[0], 4 + orders[1]])
    first = run_graph(layers, described, boxes, present)
    second = run_graph(
        layers,
        [of_map[:, order] for of_map, order in zip(described, orders, strict=True)],
        boxes[:, whole],
        present[:, whole],
    )
    torch.testing.assert_close(first.scores, second.scores)
    torch.testing.assert_close(first.descriptors, second.descriptors)
    torch.testing.assert_close(first.nodes[:, whole], second.nodes)
    torch.testing.assert_close(first.spatial[:, whole][:, :, whole], second.spatial)


def test_where_regions_lie_matters(layers, inputs):
    described, boxes, present = inputs
    first = run_graph(layers, described, boxes, present)
    turned = run_graph(layers, described, boxes[:, [3, 0, 6, 1, 5, 2, 4]], present)
    assert (first.scores - turned.scores).abs()[present.all(dim=1)].max() > 1e-3
    # The shift of the whole does not.
    shifted = run_graph(layers, described, boxes + 0.05, present)
    torch.testing.assert_close(first.scores, shifted.scores)


def test_absent_nodes_have_no_influence(layers, inputs):
    described, boxes, present = inputs
    first = run_graph(layers, described, boxes, present)
    assert torch.isfinite(first.scores).all()
    without = [described[0][1:2, :3], described[1][1:2]]
    kept = [0, 1, 2, 4, 5, 6]
    same = run_graph(layers, without, boxes[1:2, kept], present[1:2, kept])
    torch.testing.assert_close(first.scores[1:2], same.scores)
    # An image without any node has the scores of the bias.
    torch.testing.assert_close(first.scores[3], layers["class_bias"])


@pytest.mark.parametrize("c", range(N_CLASSES))
def test_contributions_add_up_to_the_score(layers, inputs, c):
    _, _, present = inputs
    output = run_graph(layers, *inputs)
    weight = layers["class_weight"][c]
    found = contributions(output.nodes, present, weight)
    sums = found.sum(dim=1) + layers["class_bias"][c]
    torch.testing.assert_close(sums, output.scores[:, c])
    assert not found[~present].any()


def test_a_contribution_is_the_share_of_means_and_the_maxima_that_are_its_own():
    nodes = tensor([[[1.0, 4.0], [3.0, 2.0]]])
    weight = tensor([10.0, 20.0, 100.0, 1000.0])
    found = contributions(nodes, torch.ones(1, 2, dtype=bool), weight)
    first = 10 * 1 / 2 + 20 * 4 / 2 + 1000 * 4
    second = 10 * 3 / 2 + 20 * 2 / 2 + 100 * 3
    np.testing.assert_allclose(found, [[first, second]])


def test_the_loss_is_the_weighted_cross_entropy(inputs):
    described, boxes, present = inputs
    shapes = layer_shapes(DEPTHS, HIDDEN, N_LAYERS, N_CLASSES)
    model = LayoutGraphModel(shapes, 0.5, np.random.RandomState(0)).double()
    output = model([*described, boxes, present])
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    weights = tensor([1, 2, 0, 1, 1, 1])
    terms = GraphObjective().terms(model, output, labels, weights)
    # The classifier starts at zero, so that all classes are equally probable.
    assert terms["cross_entropy"].item() == pytest.approx(np.log(N_CLASSES))


def test_dropout_is_of_training_alone(inputs):
    described, boxes, present = inputs
    shapes = layer_shapes(DEPTHS, HIDDEN, N_LAYERS, N_CLASSES)
    model = LayoutGraphModel(shapes, 0.5, np.random.RandomState(0)).double()
    with torch.no_grad():
        model.layers["class_weight"].fill_(1.0)
    batch = [*described, boxes, present]
    learning = [model(batch).scores for _ in range(2)]
    assert not torch.equal(*learning)
    model.eval()
    torch.testing.assert_close(model(batch).scores, model(batch).scores)
    whole = run_graph(dict(model.layers.items()), described, boxes, present).scores
    torch.testing.assert_close(model(batch).scores, whole)
