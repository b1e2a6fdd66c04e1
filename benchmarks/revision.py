"""The revision of the code that is measured."""

import subprocess
from pathlib import Path


def commit() -> str | None:
    """The checkout's commit, or None outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
