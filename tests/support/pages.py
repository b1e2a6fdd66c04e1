"""Folder, widths and themes of the pages that the browser tests open.

The pages are those of a finished run, in the folder that IMPORTANCE_ATLAS_RESULTS names, else in results/.
"""

import os
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
RESULTS = Path(os.environ.get("IMPORTANCE_ATLAS_RESULTS", REPOSITORY / "results")).resolve()
WIDTHS = {"desk": 1280, "hand": 390}
THEMES = ("light", "dark")
