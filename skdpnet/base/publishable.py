"""The method by which fitted estimators get to the Hugging Face hub."""

from __future__ import annotations

from skdpnet.persistence.hub import push_to_hub

__all__ = ["Publishable"]


class Publishable:
    """Base of the estimators that can be published."""

    def push_to_hub(
        self,
        repo_id: str,
        *,
        token: str | bool | None = None,
        private: bool | None = None,
        revision: str | None = None,
        commit_message: str | None = None,
        license: str | None = None,
    ) -> str:
        """Publish the fitted estimator on the Hugging Face hub.

        The repository gets the file that `save` writes, as ``model.skdpnet``, and a
        page about the model, ``README.md``, made of what the model knows: both replace
        files of these names there. Needs ``pip install "skdpnet[hub]"``.

        Parameters
        ----------
        repo_id : str
            The repository, ``"owner/name"``; it is made if it is not there.
        token : str or bool, default=None
            Token of the hub that may write; None: the one that ``hf auth login``
            stored.
        private : bool, default=None
            Whether a new repository is private; None: as its owner has set. One that
            exists stays as it is.
        revision : str, default=None
            Branch to write to, which exists; None: the main branch.
        commit_message : str, default=None
        license : str, default=None
            Identifier of the model's licence, such as ``"bsd-3-clause"``. None: the
            page says that none is stated.

        Returns
        -------
        str
            Address of the commit.

        Raises
        ------
        sklearn.exceptions.NotFittedError, TypeError
            As `save`, before anything is sent.
        ValueError
            As `save`; or if `repo_id` or `license` cannot be one.
        skdpnet.exceptions.MissingPackageError
            If huggingface_hub is not installed.
        huggingface_hub.errors.HfHubHTTPError
            If the hub refuses, the token for instance.

        See Also
        --------
        skdpnet.from_pretrained : Load the estimator from there.
        """
        return push_to_hub(
            self,
            repo_id,
            token=token,
            private=private,
            revision=revision,
            commit_message=commit_message,
            license=license,
        )
