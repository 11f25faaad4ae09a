"""The nodes of images' graphs: the strongest regions of each map, and their boxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from skdpnet.parts.layout_graph.regions import strongest_apart
from skdpnet.regions.energies import region_energies
from skdpnet.regions.grid import RegionGrid
from skdpnet.regions.whitening import Whitening
from skdpnet.utils.batching import slices_within
from skdpnet.utils.host_copies import as_tensor

__all__ = ["Nodes", "find_nodes", "iter_nodes"]

# The regions and the pairs of nodes of some images are held at once.
_PIECE_BYTES = 64 * 2**20
# float32 numbers of each pair of nodes that the network holds, about.
_NUMBERS_OF_A_PAIR = 64


class Nodes(NamedTuple):
    """The nodes of n images: N' on each map, N on all.

    Attributes
    ----------
    described : list of float32 tensors of shape (n, N', K)
        The whitened descriptors of the regions of each map; zero where none is left.
    regions : list of int64 tensors of shape (n, N')
        Their numbers in the grid of the map; 0 where none is left.
    boxes : float32 tensor of shape (n, N, 4)
        (left, top, right, bottom) in shares of the maps' sides.
    present : bool tensor of shape (n, N)
        Whether there is a region.
    """

    described: list[torch.Tensor]
    regions: list[torch.Tensor]
    boxes: torch.Tensor
    present: torch.Tensor

    def inputs(self) -> list[torch.Tensor]:
        """Return what `LayoutGraphModel` takes."""
        return [*self.described, self.boxes, self.present]

    def split_inputs(self) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        """Return what `run_graph` takes."""
        return self.described, self.boxes, self.present

    @classmethod
    def joined(cls, pieces: Iterable[Nodes]) -> Nodes:
        """Join the nodes of some images with those of others, on the CPU."""
        described, regions, boxes, present = zip(*pieces, strict=True)
        return cls(
            [torch.cat(of_map).cpu() for of_map in zip(*described, strict=True)],
            [torch.cat(of_map).cpu() for of_map in zip(*regions, strict=True)],
            torch.cat(boxes).cpu(),
            torch.cat(present).cpu(),
        )


def find_nodes(
    maps: Sequence,
    grids: Sequence[RegionGrid],
    whitenings: Sequence[Whitening],
    n_regions: Sequence[int],
    max_overlap: float,
    device: torch.device,
) -> Nodes:
    """Choose the strongest regions of images, and describe them.

    Parameters
    ----------
    maps : sequence of ndarrays or tensors of shape (n, H, W, D)
    grids : sequence of RegionGrid
    whitenings : sequence of Whitening
    n_regions : sequence of int
        Number of regions on each map; fewer where its grid has fewer.
    max_overlap : float
        As in `strongest_apart`.
    device : torch.device

    Returns
    -------
    Nodes
        On the device.
    """
    described, regions, boxes, present = [], [], [], []
    for feature_map, grid, whitening, n in zip(
        maps, grids, whitenings, n_regions, strict=True
    ):
        on_device = as_tensor(feature_map, device)
        energies = region_energies(on_device, grid)
        n_nodes = min(n, grid.n_regions)
        chosen = strongest_apart(energies, grid, n_nodes, max_overlap)
        there, numbers = chosen >= 0, chosen.clamp(min=0)
        sums = torch.cat(list(grid.sums(on_device.float().flatten(1, 2))), dim=1)
        places = numbers[..., None].expand(-1, -1, sums.shape[2])
        # Whitening needs the direction of a sum alone, and each is a map's cell to it.
        cells = sums.gather(1, places)[:, :, None]
        column = RegionGrid(n_nodes, 1, ((1, 1),))
        of_nodes = whitening.tensor(cells, column, device)
        described.append(of_nodes * there[..., None])
        regions.append(numbers)
        shares = torch.from_numpy(grid.boxes().astype(np.float32)).to(device)
        boxes.append(shares[numbers])
        present.append(there)
    return Nodes(described, regions, torch.cat(boxes, dim=1), torch.cat(present, dim=1))


def iter_nodes(
    maps: Sequence,
    grids: Sequence[RegionGrid],
    whitenings: Sequence[Whitening],
    n_regions: Sequence[int],
    max_overlap: float,
    device: torch.device,
) -> Iterator[Nodes]:
    """Find the nodes of some images at a time, so that little is held at once.

    Parameters
    ----------
    maps, grids, whitenings, n_regions, max_overlap, device
        As `find_nodes` takes them.

    Yields
    ------
    Nodes
        Of the next images.
    """
    deepest = max(feature_map.shape[-1] for feature_map in maps)
    n_numbers = deepest * max(grid.n_regions for grid in grids)
    n_numbers += _NUMBERS_OF_A_PAIR * sum(n_regions) ** 2
    for images in slices_within(len(maps[0]), 4 * n_numbers, _PIECE_BYTES):
        some = [feature_map[images] for feature_map in maps]
        # The mode would hold for the caller too if it lasted over the yield.
        with torch.inference_mode():
            nodes = find_nodes(some, grids, whitenings, n_regions, max_overlap, device)
        yield nodes
