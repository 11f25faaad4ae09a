"""Pillow's settings, which follow an estimator into the worker processes of joblib.

They are attributes of Pillow's modules, so that a process that imports Pillow anew has
the defaults: what a user allowed in the main process would be refused there.
"""

from __future__ import annotations

import multiprocessing
from typing import Any

from PIL import Image, ImageFile, PngImagePlugin

__all__ = ["CarriesPillowSettings"]

# Module, name and Pillow's default. Defaults are not carried, so that the pickles of an
# estimator, of which joblib makes the keys of its caches, are as without this.
_SETTINGS: dict[str, tuple[Any, Any]] = {
    "MAX_IMAGE_PIXELS": (Image, 2**30 // 4 // 3),
    "LOAD_TRUNCATED_IMAGES": (ImageFile, False),
    "MAX_TEXT_CHUNK": (PngImagePlugin, 2**20),
    "MAX_TEXT_MEMORY": (PngImagePlugin, 2**26),
}
_KEY = "_pillow_settings"
# What the settings of this process were before those of another replaced them.
_replaced: dict[str, Any] = {}


class CarriesPillowSettings:
    """Mix-in for objects that read images and may be sent to worker processes.

    A pickle holds the settings that differ from Pillow's defaults. They take effect
    where it is loaded by a worker process: one that Python's multiprocessing or
    joblib has started for this program. A pickle that another program loads changes
    nothing there.
    """

    def __getstate__(self) -> Any:
        state: Any = super().__getstate__()  # type: ignore[misc]
        settings = _changed_settings()
        return {**state, _KEY: settings} if settings else state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        settings = state.pop(_KEY, {})
        if multiprocessing.parent_process() is not None:
            _apply(settings)
        if hasattr(super(), "__setstate__"):
            super().__setstate__(state)  # type: ignore[misc]
        else:
            self.__dict__.update(state)


def _changed_settings() -> dict[str, Any]:
    """Return the settings that differ from Pillow's defaults."""
    values = {name: getattr(module, name) for name, (module, _) in _SETTINGS.items()}
    return {
        name: value for name, value in values.items() if value != _SETTINGS[name][1]
    }


def _apply(settings: dict[str, Any]) -> None:
    """Take over the settings of another process, and undo those of an earlier one."""
    for name in _SETTINGS.keys() & (settings.keys() | _replaced.keys()):
        module = _SETTINGS[name][0]
        if name in settings:
            _replaced.setdefault(name, getattr(module, name))
            setattr(module, name, settings[name])
        else:
            setattr(module, name, _replaced.pop(name))
