"""Images with a coloured mark, as cameras store them, and networks of mean colours."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import nn

RED, GREEN = (230, 20, 20), (20, 230, 20)
# Left and top edges of marks.
PLACES = [(36, 0), (68, 32), (100, 64), (132, 96), (68, 80), (84, 16)]
# EXIF orientations, and how the stored image is turned.
TURNS = {
    1: None,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


class MeanColours(nn.Module):
    """Maps of the mean red, green and blue, 0 to 1, of square patches of pixels."""

    def __init__(self, *sides: int):
        super().__init__()
        self.sides = sides

    def forward(self, x):
        mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
        x = x * std + mean
        maps = tuple(nn.functional.avg_pool2d(x, side) for side in self.sides)
        return maps if len(maps) > 1 else maps[0]


def draw_image(colour, left, top, orientation):
    """Draw a mark on a wide grey image, turned as a camera would store it.

    Returns the stored image, and the EXIF data with its orientation.
    """
    pixels = np.full((128, 200, 3), 60, np.uint8)
    pixels[top : top + 32, left : left + 32] = colour
    upright = Image.fromarray(pixels)
    turn = TURNS[orientation]
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return stored, exif
