"""What `import spikeyolo` brings along: torch, and nothing heavy beside it."""

import subprocess
import sys

HEAVY = (
    "torchvision",
    "cv2",
    "lightning",
    "rich",
    "matplotlib",
    "supervision",
    "pandas",
    "sympy.plotting",
)


def test_import_is_light():
    program = (
        "import sys, torch; before = set(sys.modules); import spikeyolo; "
        f"print([m for m in {HEAVY!r} if m in sys.modules and m not in before])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
