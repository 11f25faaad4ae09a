"""Use an installed skdpnet as a reader of the README does: `python tests/smoke.py`.

It stands alone, so that it also runs where only the wheel and what it depends on are
installed. Nothing is downloaded.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

N_IMAGES, N_CLASSES = 24, 2
IMPORT = (
    "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
)


def seconds_to_import(module: str) -> float:
    """Time the import of a module in a fresh process."""
    command = [sys.executable, "-c", IMPORT.format(module)]
    return float(subprocess.check_output(command, cwd=tempfile.gettempdir()))


def run(*arguments: str, folder: Path) -> None:
    """Run a command of the package, away from its source."""
    command = [sys.executable, "-m", "skdpnet", *arguments]
    subprocess.run(command, cwd=folder, check=True)


def use(folder: Path) -> None:
    """Fit, save, load, explain and draw; then the two commands of the README."""
    import numpy as np
    from PIL import Image

    import skdpnet
    from skdpnet.datasets import make_part_images
    from skdpnet.display import ExplanationDisplay

    print(f"skdpnet {skdpnet.__version__} from {Path(skdpnet.__file__).parent}")
    birds = make_part_images(N_IMAGES, N_CLASSES, image_size=64, random_state=0)
    model = skdpnet.DPNetClassifier(
        n_parts_per_class=2, image_size=64, max_epochs=2, random_state=0
    ).fit(birds.images, birds.target)
    model.save(folder / "birds.skdpnet")
    loaded = skdpnet.load(folder / "birds.skdpnet")
    scores = [each.decision_function(birds.images) for each in (model, loaded)]
    assert np.array_equal(*scores), "the loaded model differs"
    why = loaded.explain(birds.images[0])
    score = why.contributions.sum() + why.bias
    assert np.isfinite(score), "the explanation has no finite score"
    display = ExplanationDisplay.from_estimator(loaded, birds.images[0]).plot()
    display.figure_.savefig(folder / "why.png")
    assert (folder / "why.png").stat().st_size > 0

    for i, (image, label) in enumerate(zip(birds.images, birds.target, strict=True)):
        path = folder / "birds" / f"class{label}" / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    small = ("--image-size", "64", "--parts-per-class", "4", "--quiet")
    run("fit", "birds", "-o", "folder.skdpnet", *small, folder=folder)
    run("report", "folder.skdpnet", "birds", "-o", "birds.html", folder=folder)
    assert "<html" in (folder / "birds.html").read_text(encoding="utf-8")


def main() -> None:
    """Run all of it in a folder that is removed."""
    for module in ("skdpnet", "skdpnet.parts.dpnet.estimators"):
        print(f"import {module}: {seconds_to_import(module):.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        use(Path(folder))
    print("All of it works.")


if __name__ == "__main__":
    import matplotlib

    matplotlib.use("agg")
    main()
