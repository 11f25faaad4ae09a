"""What forked processes answer, after their parent has computed with several threads.

Run by test_processes.py as a program, because a process that has used one thread alone
cannot show what happens to the others. It prints a JSON object.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import queue
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import joblib
import numpy as np
import torch
from sklearn.model_selection import cross_val_score
from torch.utils.data import DataLoader, Dataset

import skdpnet
from tests.estimators import ARGUMENTS

SECONDS = 60
SIZE = 64
FORK = multiprocessing.get_context("fork")
IMAGES = np.random.RandomState(0).randint(0, 255, (8, SIZE, SIZE, 3), np.uint8)
LABELS = np.arange(8) % 2


def estimator(name: str):
    cls = getattr(skdpnet, name)
    made = cls(image_size=SIZE, **ARGUMENTS.get(name, {}))
    takes = "random_state" in made.get_params()
    return made.set_params(random_state=0) if takes else made


def forked(work: Callable) -> str:
    """Whether a forked process finds that some work gives what is expected."""
    answers = FORK.Queue()

    def answer():
        try:
            answers.put("right" if work() else "wrong")
        except Exception:
            answers.put(traceback.format_exc())

    child = FORK.Process(target=answer)
    child.start()
    try:
        return answers.get(timeout=SECONDS)
    except queue.Empty:
        return f"no answer in {SECONDS} s"
    finally:
        child.kill()
        child.join()


def in_a_thread(work: Callable) -> bool:
    done: list[bool] = []
    thread = threading.Thread(target=lambda: done.append(work()))
    thread.start()
    thread.join()
    return done[0]


def preloaded(work: Callable) -> bool:
    """Whether a process gets its answer from one that it forks, as servers do."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"1" if work() else b"0")
        os._exit(0)
    answer = os.read(reading, 1)
    os.waitpid(child, 0)
    return answer == b"1"


def class_of(i: int):
    return MODEL.predict(IMAGES[i : i + 1])[0]


class Predictions(Dataset):
    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, i):
        return class_of(i)


def main() -> dict[str, str]:
    expected = MODEL.predict_proba(IMAGES)
    classes = MODEL.predict(IMAGES).tolist()
    fitted = {name: estimator(name).fit(IMAGES, LABELS) for name in skdpnet.ESTIMATORS}
    descriptors = {name: parts.transform(IMAGES) for name, parts in fitted.items()}

    def predicts() -> bool:
        # Another number of threads adds numbers in another order.
        return np.allclose(MODEL.predict_proba(IMAGES), expected, atol=1e-2)

    def transforms(name: str) -> bool:
        got = fitted[name].transform(IMAGES)
        return np.allclose(got, descriptors[name], atol=1e-2)

    def fits(name: str) -> bool:
        return bool(np.isfinite(fitted[name].fit_transform(IMAGES, LABELS)).all())

    out = {
        "predict": forked(predicts),
        "one torch thread": forked(lambda: torch.get_num_threads() == 1),
        "explain": forked(lambda: MODEL.explain(IMAGES[0]).heat_map().size > 0),
        "thread": forked(lambda: in_a_thread(predicts)),
        "grandchild": forked(lambda: preloaded(predicts)),
        "parent afterwards": "right" if predicts() else "wrong",
    }
    for name in skdpnet.ESTIMATORS:
        out[f"transform {name}"] = forked(lambda name=name: transforms(name))
        out[f"fit {name}"] = forked(lambda name=name: fits(name))
    with FORK.Pool(2) as pool:
        got = pool.map_async(class_of, range(len(IMAGES))).get(timeout=SECONDS)
        out["multiprocessing.Pool"] = "right" if got == classes else str(got)
    with ProcessPoolExecutor(2, mp_context=FORK) as executor:
        got = list(executor.map(class_of, range(len(IMAGES)), timeout=SECONDS))
        out["ProcessPoolExecutor"] = "right" if got == classes else str(got)
    with joblib.parallel_backend("multiprocessing", n_jobs=2):
        scores = cross_val_score(estimator("DPNetClassifier"), IMAGES, LABELS, cv=2)
        out["joblib"] = "right" if np.isfinite(scores).all() else str(scores)
    loader = DataLoader(
        Predictions(),
        batch_size=4,
        num_workers=2,
        multiprocessing_context=FORK,
        timeout=SECONDS,
    )
    got = torch.cat(list(loader)).tolist()
    out["DataLoader"] = "right" if got == classes else str(got)
    return out


if __name__ == "__main__":
    torch.set_num_threads(2)
    MODEL = estimator("DPNetClassifier").fit(IMAGES, LABELS)
    print(json.dumps(main()))
