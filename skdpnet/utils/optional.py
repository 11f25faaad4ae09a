"""Packages that only some functions need: they are imported there, or named."""

from __future__ import annotations

import importlib
from types import ModuleType

from skdpnet.exceptions import MissingPackageError

__all__ = ["import_optional"]


def import_optional(module: str, purpose: str, requirement: str) -> ModuleType:
    """Import a module that may not be installed.

    Parameters
    ----------
    module : str
        Its name, such as ``"matplotlib.pyplot"``.
    purpose : str
        What needs it, as the subject of the message: ``"drawing figures"``.
    requirement : str
        What pip is asked to install.

    Returns
    -------
    module

    Raises
    ------
    skdpnet.exceptions.MissingPackageError
        If its package cannot be imported; the message names the command that installs
        it. It is an ImportError.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingPackageError(
            f"{purpose} needs the package {package}, which could not be imported "
            f'({error}): pip install "{requirement}"'
        ) from error
