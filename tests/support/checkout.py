"""A copy of the repository to run the workflow in."""

import os
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "results", "__pycache__", "node_modules")


def copy_repository(folder: Path) -> None:
    """Copy the repository without results and hidden files."""
    shutil.copytree(REPOSITORY, folder, ignore=LEFT_OUT, dirs_exist_ok=True)
    shutil.copy(REPOSITORY / ".gitignore", folder)


def commit_all(folder: Path) -> None:
    """Make a folder a git repository with one commit, whose hash depends on the files alone."""
    date = {"GIT_AUTHOR_DATE": "2000-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2000-01-01T00:00:00Z"}
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for arguments in (["init", "--quiet"], ["add", "--all"], [*identity, "commit", "--quiet", "--message", "as it is"]):
        subprocess.run(["git", *arguments], cwd=folder, env=os.environ | date, check=True)
