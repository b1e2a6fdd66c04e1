"""Run the GPU parts one after another, each as a process with a time limit, and describe the machine.

A part writes its results while it runs, so that one killed at its limit leaves what it has measured.
"""

import argparse
import fcntl
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from revision import commit

PARTS = {
    "correctness": "importances and training steps on the GPU against the CPU, float32 and float64",
    "speed": "importances in samples/s, training in replica-steps/s",
    "published": "the jobs of a dry run, which --published-options='--plan FILE' names",
}
DEFAULT = ("correctness", "speed")
LIMITS = {"correctness": 240.0, "speed": 240.0, "published": 3600.0}
UNUSED = {"published": ("quick", "threads")}
"""Options that a part does not have."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/gpu.sh", description=__doc__)
    parser.add_argument("parts", nargs="*", default=[], help=f"of: {', '.join(PARTS)} (default: {' '.join(DEFAULT)})")
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    parser.add_argument(
        "--data", type=Path, help="folder with mnist/ (published: and fashion_mnist/) in IDX format, .gz or raw"
    )
    parser.add_argument("--device", default="cuda", help="cuda or cpu (default: cuda)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all)")
    parser.add_argument("--quick", action="store_true", help="smoke test with tiny sizes")
    for part, what in PARTS.items():
        parser.add_argument(f"--{part}-limit", type=float, default=LIMITS[part], help=f"seconds for: {what}")
        parser.add_argument(f"--{part}-options", default="", help=f"further options of the part {part}")
    options = parser.parse_args()
    parts = options.parts or list(DEFAULT)
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        parser.error(f"unknown part {', '.join(unknown)}; allowed are {', '.join(PARTS)}")
    for part in parts:
        unused = [f"--{name}" for name in UNUSED.get(part, ()) if getattr(options, name)]
        if unused:
            parser.error(f"{part} has no {' and no '.join(unused)}: the plan determines sizes and threads")
    options.output.mkdir(parents=True, exist_ok=True)
    failed = [part for part in parts if not run(part, options)]
    if failed:
        sys.exit(f"ended early or failed: {', '.join(failed)}")


def run(part: str, options: argparse.Namespace) -> bool:
    """Run one part within its limit; returns whether it finished."""
    limit = getattr(options, f"{part}_limit")
    arguments = ["--output", str(options.output)]
    arguments += ["--threads", str(options.threads)] if options.threads else []
    arguments += ["--data", str(options.data)] if options.data else []
    arguments += ["--quick"] if options.quick else []
    arguments += shlex.split(getattr(options, f"{part}_options"))
    print(f"== {part}: at most {limit:.0f} s", flush=True)
    environment = os.environ | {"IMPORTANCE_ATLAS_DEVICE": options.device}
    start = time.monotonic()
    command = [sys.executable, "-m", f"gpu.{part}", *arguments]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        code = "killed at its limit"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # with a program that it has started
            process.wait()
    seconds = time.monotonic() - start
    print(f"== {part}: {'finished' if code == 0 else code} after {seconds:.0f} s", flush=True)
    describe(options.output / "machine.json", part, shown(part, options, limit), code, seconds)
    return code == 0


def shown(part: str, options: argparse.Namespace, limit: float) -> list[str]:
    """The options that repeat a run, without paths."""
    own = getattr(options, f"{part}_options")
    arguments = [f"--{part}-limit={limit:g}", f"--device={options.device}"]
    arguments += [f"--threads={options.threads}"] if options.threads else []
    arguments += ["--data=DATA"] if options.data else []
    arguments += ["--quick"] if options.quick else []
    return arguments + ([f"--{part}-options={own}"] if own else [])


def describe(path: Path, part: str, arguments: list[str], code: int | str, seconds: float) -> None:
    """Add a run of a part to the description of the machine and its runs."""
    run = {
        "part": part,
        "command": shlex.join(["benchmarks/gpu.sh", part, *arguments]),
        "ended": "finished" if code == 0 else str(code),
        "seconds": round(seconds, 1),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": os.environ.get("COMMIT") or commit(),
        **machine(),
    }
    with path.open("a+", encoding="utf-8") as file:  # parts that run at the same time wait for each other
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        about = json.loads(file.read() or '{"runs": []}')
        about["runs"].append(run)
        file.truncate(0)
        file.write(json.dumps(about, indent=1) + "\n")


def machine() -> dict[str, object]:
    """Device, driver and versions."""
    import numpy
    import torch

    about: dict[str, object] = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "cpus": os.cpu_count(),
        "gpu": None,
    }
    if torch.cuda.is_available():
        query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        try:
            description = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            description = ""
        about |= {
            "gpu": torch.cuda.get_device_name(),
            "nvidia_smi": description,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return about


if __name__ == "__main__":
    main()
