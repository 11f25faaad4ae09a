"""What the folder of the fast code shows to the rest of the package."""

import re
import subprocess
import sys
from pathlib import Path

import skdpnet
import skdpnet.parts.maxima

PACKAGE = Path(skdpnet.__file__).parent
FOLDER = PACKAGE / "parts" / "maxima"


def test_other_folders_import_one_function():
    assert skdpnet.parts.maxima.__all__ == ["part_maxima"]
    for path in PACKAGE.rglob("*.py"):
        if FOLDER not in path.parents:
            code = path.read_text(encoding="utf-8")
            imports = re.findall(r"^.*\bimport\b.*$", code, re.MULTILINE)
            for line in imports:
                if "parts.maxima" in line or "parts import maxima" in line:
                    assert line == "from skdpnet.parts.maxima import part_maxima", path


def test_importing_it_does_not_import_triton():
    code = "import sys, skdpnet.parts.maxima; sys.exit('triton' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
