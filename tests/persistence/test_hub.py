"""Publishing on a stand-in for the Hugging Face hub, and loading from there."""

from __future__ import annotations

import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.exceptions import NotFittedError

import skdpnet
from skdpnet import DPNetClassifier, GlobalFeatures
from skdpnet.exceptions import MissingPackageError, ModelFileError
from tests.persistence.hub_server import TOKEN, Hub
from tests.persistence.models import assert_identical

huggingface_hub = pytest.importorskip("huggingface_hub")
constants = pytest.importorskip("huggingface_hub.constants")
errors = pytest.importorskip("huggingface_hub.errors")
file_download = pytest.importorskip("huggingface_hub.file_download")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The stand-in, in place of the hub; with a cache of its own, and no token."""
    with Hub() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.partition("{")[2]
        template = server.address + "/{" + template
        # Early versions import it by name.
        for module in (constants, file_download):
            name = "HUGGINGFACE_CO_URL_TEMPLATE"
            monkeypatch.setattr(module, name, template, raising=False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
        yield server


def test_what_is_pushed_comes_back_bit_for_bit(fitted, hub):
    X, _, model = fitted
    url = model.push_to_hub("garden/roses", token=TOKEN, license="MIT")
    repository = hub.repositories["garden/roses"]
    assert url == f"{hub.address}/garden/roses/commit/{repository.branches['main']}"
    assert repository.messages == ["Add a DPNetClassifier"]
    _, files = repository.files("main")
    assert files.keys() == {"model.skdpnet", "README.md"}
    loaded = skdpnet.from_pretrained("garden/roses")
    assert type(loaded) is DPNetClassifier
    for method in ("decision_function", "transform"):
        assert_identical(getattr(loaded, method)(X), getattr(model, method)(X))
    # Only the model is read from there.
    read = {path for _, path, _ in hub.requests if "/resolve/" in path}
    assert read == {"/garden/roses/resolve/main/model.skdpnet"}
    agents = [agent for method, _, agent in hub.requests if method == "POST"]
    assert all(f"skdpnet/{skdpnet.__version__}" in agent for agent in agents)


def test_a_revision_is_the_model_of_then(hub):
    first = GlobalFeatures("precomputed").fit(np.ones((2, 3)))
    second = GlobalFeatures("precomputed").fit(np.ones((2, 5)))
    then = first.push_to_hub("garden/means", token=TOKEN).rpartition("/")[2]
    second.push_to_hub("garden/means", token=TOKEN, commit_message="Five")
    assert hub.repositories["garden/means"].messages[1] == "Five"
    sizes = [
        skdpnet.from_pretrained("garden/means", revision=revision).n_features_in_
        for revision in (None, "main", then)
    ]
    assert sizes == [5, 5, 3]
    with pytest.raises(errors.RevisionNotFoundError):
        skdpnet.from_pretrained("garden/means", revision="v2")
    with pytest.raises(errors.RevisionNotFoundError):
        second.push_to_hub("garden/means", token=TOKEN, revision="v2")


def test_a_private_repository_needs_the_token(hub, fitted):
    fitted[2].push_to_hub("garden/secret", token=TOKEN, private=True)
    assert hub.repositories["garden/secret"].private is True
    with pytest.raises(errors.RepositoryNotFoundError):
        skdpnet.from_pretrained("garden/secret")
    loaded = skdpnet.from_pretrained("garden/secret", token=TOKEN, device="cpu")
    assert loaded.device == "cpu"


def test_the_card_names_the_owner_whom_the_hub_adds(hub, fitted):
    fitted[2].push_to_hub("roses", token=TOKEN)
    _, files = hub.repositories["gardener/roses"].files("main")
    card = files["README.md"].decode()
    assert 'skdpnet.from_pretrained("gardener/roses")' in card


def test_what_cannot_be_published_sends_nothing(hub, fitted):
    model = fitted[2]
    with pytest.raises(NotFittedError):
        DPNetClassifier().push_to_hub("garden/roses", token=TOKEN)
    odd = pickle.loads(pickle.dumps(model)).set_params(net_params={"callbacks": [1j]})
    with pytest.raises(ValueError, match="net_params cannot be saved"):
        odd.push_to_hub("garden/roses", token=TOKEN)
    with pytest.raises(ValueError, match="is not an identifier of a licence"):
        model.push_to_hub("garden/roses", token=TOKEN, license="mit\ntags: [x]")
    for name in ("a/b/c", "two words", "../up", "", None):
        with pytest.raises(ValueError, match="cannot be the name of a repository"):
            model.push_to_hub(name, token=TOKEN)
    assert hub.requests == []
    with pytest.raises(errors.HfHubHTTPError, match="401"):
        model.push_to_hub("garden/roses", token="hf_wrong")
    assert hub.repositories == {}


def test_other_repositories_are_refused(hub, tmp_path):
    huggingface_hub.HfApi(token=TOKEN).create_repo("garden/empty")
    with pytest.raises(
        ModelFileError, match=r"garden/empty has no file model\.skdpnet"
    ):
        skdpnet.from_pretrained("garden/empty")
    forged = pickle.dumps(print)
    hub.repositories["garden/empty"].commit("main", {"model.skdpnet": forged}, "Forge")
    with pytest.raises(ModelFileError, match="not a model that skdpnet saved"):
        skdpnet.from_pretrained("garden/empty")
    with pytest.raises(errors.RepositoryNotFoundError):
        skdpnet.from_pretrained("garden/none")


def test_files_and_folders_on_this_computer(fitted, saved, tmp_path, hub):
    X, _, model = fitted
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(ModelFileError, match=r"has no file model\.skdpnet"):
        skdpnet.from_pretrained(folder)
    model.save(folder / "model.skdpnet")
    for path in (saved, folder, str(folder)):
        assert_identical(skdpnet.from_pretrained(path).predict(X), model.predict(X))
    with pytest.raises(ValueError, match="has no revision 'main'"):
        skdpnet.from_pretrained(folder, revision="main")
    for name in ("./none", "~/none", "/none", "a/b/c", tmp_path / "none"):
        with pytest.raises(FileNotFoundError, match="no file or folder"):
            skdpnet.from_pretrained(name)
    assert hub.requests == []


def test_without_huggingface_hub_the_extra_is_named(fitted, monkeypatch, saved):
    for name in [*sys.modules]:
        if re.match(r"huggingface_hub(\.|$)", name):
            monkeypatch.setitem(sys.modules, name, None)
    install = re.escape('pip install "skdpnet[hub]"')
    with pytest.raises(MissingPackageError, match=install):
        fitted[2].push_to_hub("garden/roses")
    with pytest.raises(MissingPackageError, match=install):
        skdpnet.from_pretrained("garden/roses")
    # What is on this computer needs no hub.
    assert isinstance(skdpnet.from_pretrained(saved), DPNetClassifier)


def test_the_examples_of_the_page_run(hub, photographs, tmp_path, monkeypatch):
    paths, labels = photographs
    for i, (path, label) in enumerate(zip(paths, labels, strict=True)):
        target = tmp_path / "flowers" / "train" / label / f"{i}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).resize((64, 64)).save(target)
    Image.open(paths[0]).save(tmp_path / "rose.jpg")
    page = (Path(__file__).parents[2] / "docs" / "hub.md").read_text(encoding="utf-8")
    publish, load = re.findall("```python\n(.*?)```", page, re.S)
    publish = publish.replace('"maps", ', '"maps", max_epochs=1, image_size=64, ')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    known = {}
    exec(publish, known)
    assert hub.repositories["your-name/flowers"].private
    exec(load, known)
    assert known["model"].classes_.tolist() == ["cat", "coffee"]
