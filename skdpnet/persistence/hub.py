"""Models on the Hugging Face hub: publishing them, and loading them from there.

A repository holds the file that `save` writes and a page about it. Nothing else is
read from a repository, so that loading a stranger's is as safe as `load` is.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import skdpnet
from skdpnet.exceptions import ModelFileError
from skdpnet.persistence.model_card import model_card
from skdpnet.persistence.saving import load, save
from skdpnet.utils.optional import import_optional

__all__ = ["MODEL_FILE", "from_pretrained", "push_to_hub"]

MODEL_FILE = "model.skdpnet"
_CARD_FILE = "README.md"


def push_to_hub(
    estimator: Any,
    repo_id: str,
    *,
    token: str | bool | None = None,
    private: bool | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
    license: str | None = None,
) -> str:
    """Publish a fitted estimator; see `MapEstimator.push_to_hub`, which calls this.

    Parameters
    ----------
    estimator : MapEstimator
    repo_id, token, private, revision, commit_message, license
        As in `MapEstimator.push_to_hub`.

    Returns
    -------
    str
        Address of the commit.
    """
    hub = _huggingface_hub()
    _check_repo_id(hub, repo_id)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Before anything is sent: what cannot be saved leaves no empty repository.
        save(estimator, folder / MODEL_FILE)
        card = model_card(estimator, repo_id, license)
        (folder / _CARD_FILE).write_text(card, encoding="utf-8")
        api = _api(hub, token)
        # The owner may be left out; the hub then says whose it is.
        full_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        if full_id != repo_id:
            card = model_card(estimator, full_id, license)
            (folder / _CARD_FILE).write_text(card, encoding="utf-8")
        commit = api.upload_folder(
            repo_id=full_id,
            folder_path=folder,
            revision=revision,
            commit_message=commit_message or f"Add a {type(estimator).__name__}",
        )
    return str(commit.commit_url)


def from_pretrained(
    repo_id_or_path: str | os.PathLike,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    backbone: str | Callable | None = None,
    memory: str | os.PathLike | None = None,
    device: str = "auto",
    estimators: Sequence[type] = (),
) -> Any:
    """Load an estimator that `push_to_hub` published, or one on this computer.

    Of a repository, the model file alone is downloaded, into the cache of
    huggingface_hub, and read by `load`: nothing in it runs or is unpickled. Still,
    whoever wrote it decides what it predicts. Needs the extra ``hub``:
    ``pip install "skdpnet[hub]"``, if it is not on this computer.

    Parameters
    ----------
    repo_id_or_path : str or path
        A repository, ``"owner/name"``; or a file that `save` wrote, or a folder with
        such a file under the name ``model.skdpnet``. What is on this computer is
        preferred.
    revision : str, default=None
        Branch, tag or commit of the repository; None: its main branch. A commit cannot
        be changed by the owner.
    token : str or bool, default=None
        Token of the hub for private repositories; None: the one that
        ``hf auth login`` stored, if there is one; False: none.
    backbone, memory, device, estimators
        As in `load`.

    Returns
    -------
    estimator
        As `load` returns it.

    Raises
    ------
    FileNotFoundError
        If a path is neither there nor can be the name of a repository.
    skdpnet.exceptions.ModelFileError
        If there is no ``model.skdpnet`` in the folder or repository, or if `load`
        refuses it. It is a ValueError.
    skdpnet.exceptions.MissingPackageError
        If huggingface_hub is not installed.
    ValueError
        If a revision of something on this computer is asked for.
    huggingface_hub.errors.HfHubHTTPError
        If there is no such repository or revision, or if it cannot be reached with
        this token.

    See Also
    --------
    load : Load a file.
    DPNetClassifier.push_to_hub : Publish an estimator.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> import skdpnet
    >>> X, y = load_iris(return_X_y=True)
    >>> model = skdpnet.DPNetClassifier("precomputed", max_epochs=1).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(Path(folder) / "model.skdpnet")
    ...     loaded = skdpnet.from_pretrained(folder)
    >>> bool((loaded.predict(X) == model.predict(X)).all())
    True
    """
    path = Path(repo_id_or_path).expanduser()
    if path.exists():
        if revision is not None:
            raise ValueError(
                f"{path} is on this computer, and has no revision {revision!r}: leave "
                "revision out, or name a repository of the hub that is not also a path."
            )
        file = path / MODEL_FILE if path.is_dir() else path
        if not file.exists():
            raise ModelFileError(f"the folder {path} has no file {MODEL_FILE}.")
    else:
        file = _download(repo_id_or_path, revision, token)
    return load(file, backbone, memory, device, estimators)


def _download(
    repo_id: str | os.PathLike, revision: str | None, token: str | bool | None
) -> Path:
    if not isinstance(repo_id, str) or _can_only_be_a_path(repo_id):
        raise FileNotFoundError(
            f"there is no file or folder {os.fspath(repo_id)}. Relative paths start at "
            f'the working directory, {os.getcwd()}; repositories are "owner/name".'
        )
    hub = _huggingface_hub()
    _check_repo_id(hub, repo_id)
    try:
        file = _api(hub, token).hf_hub_download(repo_id, MODEL_FILE, revision=revision)
    except hub.errors.LocalEntryNotFoundError:
        # The hub cannot be reached. Its message says so.
        raise
    except hub.errors.EntryNotFoundError as error:
        of = "" if revision is None else f" at the revision {revision!r}"
        raise ModelFileError(
            f"the repository {repo_id}{of} has no file {MODEL_FILE}: it holds no model "
            "that push_to_hub published."
        ) from error
    return Path(file)


def _can_only_be_a_path(name: str) -> bool:
    return name.startswith((".", "~", "/")) or name.count("/") > 1 or "\\" in name


def _check_repo_id(hub: Any, repo_id: str) -> None:
    try:
        # It lets None pass.
        hub.utils.validate_repo_id("" if repo_id is None else repo_id)
    except hub.errors.HFValidationError as error:
        raise ValueError(
            f"{str(repo_id)[:200]!r} cannot be the name of a repository of the hub: "
            'name one as "owner/name", of letters, digits, "-", "_" and ".".'
        ) from error


def _api(hub: Any, token: str | bool | None) -> Any:
    return hub.HfApi(
        token=token, library_name="skdpnet", library_version=skdpnet.__version__
    )


def _huggingface_hub() -> Any:
    purpose, extra = "publishing and downloading models", "skdpnet[hub]"
    for module in ("huggingface_hub.errors", "huggingface_hub.utils"):
        import_optional(module, purpose, extra)
    return import_optional("huggingface_hub", purpose, extra)
