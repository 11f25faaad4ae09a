"""The nodes of images: which regions they are, and their descriptors."""

import numpy as np
import torch

from skdpnet.parts.layout_graph.nodes import Nodes, find_nodes, iter_nodes
from skdpnet.parts.layout_graph.regions import strongest_apart
from skdpnet.regions import RegionGrid
from skdpnet.regions.energies import region_energies
from skdpnet.regions.whitening import fit_whitening

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
MAPS = [RNG.random((5, 6, 7, 4)).astype(np.float32), RNG.random((5, 3, 3, 6))]
MAPS[0][1, 4:] = 0  # the image ends there
MAPS[0][2] = 0
GRIDS = [RegionGrid(6, 7, ((1, 1), (3, 3))), RegionGrid(3, 3, ((2, 2),))]
WHITENINGS = [
    fit_whitening(of_map, grid, 3, np.random.RandomState(0))
    for of_map, grid in zip(MAPS, GRIDS, strict=True)
]


def test_nodes_are_the_strongest_regions_with_their_descriptors():
    nodes = find_nodes(MAPS, GRIDS, WHITENINGS, (4, 9), 0.2, CPU)
    # The coarse map has four regions, of which two across from one another are apart.
    assert [tuple(d.shape) for d in nodes.described] == [(5, 4, 3), (5, 4, 3)]
    start = 0
    for i, (of_map, grid) in enumerate(zip(MAPS, GRIDS, strict=True)):
        energies = region_energies(torch.from_numpy(of_map), grid)
        chosen = strongest_apart(energies, grid, 4, 0.2).numpy()
        everything = WHITENINGS[i](of_map, grid)
        for n in range(5):
            for k, region in enumerate(chosen[n]):
                assert bool(nodes.present[n, start + k]) == (region >= 0)
                found = nodes.described[i][n, k].numpy()
                if region < 0:
                    assert not found.any()
                    continue
                assert nodes.regions[i][n, k] == region
                np.testing.assert_allclose(found, everything[n, region], atol=1e-5)
                box = nodes.boxes[n, start + k].numpy()
                np.testing.assert_allclose(box, grid.boxes()[region], rtol=1e-6)
        start += 4
    assert nodes.present[:, :4].sum(dim=1).tolist() == [4, 4, 0, 4, 4]
    assert nodes.present[:, 4:].sum(dim=1).tolist() == [2, 2, 2, 2, 2]


def test_pieces_are_the_whole():
    settings = GRIDS, WHITENINGS, (4, 4), 0.2, CPU
    whole = find_nodes(MAPS, *settings)
    pieces = [[m[:2] for m in MAPS], [m[2:] for m in MAPS]]
    joined = Nodes.joined(find_nodes(piece, *settings) for piece in pieces)
    (one,) = iter_nodes(MAPS, *settings)
    for other in (joined, one):
        for a, b in zip(whole.inputs(), other.inputs(), strict=True):
            torch.testing.assert_close(a, b)


def test_the_mode_of_torch_does_not_leak_to_the_caller():
    for _ in iter_nodes(MAPS, GRIDS, WHITENINGS, (4, 4), 0.2, CPU):
        assert not torch.is_inference_mode_enabled()
