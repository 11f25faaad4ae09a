"""ONNX files: a network as a graph that other programs run, with texts about it.

torch's exporter records the operations of one batch. The exporter that records
TorchScript is used, because the newer one takes minutes for images of free height and
width, where this one takes a second.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from skdpnet.storage.atomic_write import replace_file, target_file
from skdpnet.utils.optional import import_optional

__all__ = ["import_onnx", "write_onnx"]

# The first with everything that the graphs need, so that older programs read them too.
_OPSET = 17


def import_onnx():
    """Import the package onnx, which is an extra.

    Returns
    -------
    module

    Raises
    ------
    skdpnet.exceptions.MissingPackageError
        If it is not installed; the message says what to install.
    """
    return import_optional("onnx", "to_onnx", "skdpnet[onnx]")


def write_onnx(
    path: str | os.PathLike,
    network: nn.Module,
    images: torch.Tensor,
    output_names: Sequence[str],
    free_axes: dict[int, str],
    metadata: dict[str, str],
) -> None:
    """Write a network as an ONNX file, or leave everything as it was.

    Parameters
    ----------
    path : str or path
        An existing file is replaced.
    network : torch.nn.Module
        From images to a tuple of tensors.
    images : tensor of shape (N, 3, H, W)
        A batch of the images that it takes.
    output_names : sequence of str
        A name for each tensor. The input's name is "images".
    free_axes : dict of int to str
        The axes of the images that may have any size, with their names. If the first
        is among them, it is that of all outputs too.
    metadata : dict of str to str
        The texts in the file's ``metadata_props``.

    Raises
    ------
    ImportError
        As `import_onnx`.
    OSError
        If the folder does not exist, if the path is a folder, or if writing fails.
    ValueError
        If the exporter fails on the network.
    """
    onnx = import_onnx()
    file = target_file(path)
    batch_axis = {0: free_axes[0]} if 0 in free_axes else {}
    axes = {"images": free_axes, **dict.fromkeys(output_names, batch_axis)}
    with tempfile.TemporaryDirectory() as folder:
        traced = Path(folder) / "traced.onnx"
        try:
            with warnings.catch_warnings():
                # Each condition that is the same for all images is warned of.
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    network,
                    (images,),
                    os.fspath(traced),
                    input_names=["images"],
                    output_names=list(output_names),
                    dynamic_axes={name: dict(free) for name, free in axes.items()},
                    opset_version=_OPSET,
                    dynamo=False,
                )
        except Exception as error:
            # The exporter raises errors of every kind.
            lines = str(error).strip().splitlines() or [""]
            raise ValueError(
                "torch cannot export this network to ONNX: "
                f"{type(error).__name__}: {lines[0][:300]}. Pass a module as backbone "
                "whose operations ONNX has, or use the estimator itself."
            ) from error
        model = onnx.load_model(traced)
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    replace_file(file, model.SerializeToString())
