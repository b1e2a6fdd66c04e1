"""Checkpoints: the intermediate state of a long job, kept next to its result until the result is written.

The checkpoint of a result ``NAME`` is ``.NAME.checkpoint`` in the same folder. It is written atomically, like every
result, with a description of its origin. Only a job with the same settings, seeds, code, versions, input files, device
and precision resumes from it. This module does not interpret the tensors.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from weight_importance.files.integrity import checksum, seal_of
from weight_importance.files.provenance import forget_input, metadata, record_of
from weight_importance.files.storage import load_tensors, save_tensors
from weight_importance.runtime.errors import UserError


class Checkpoint:
    """The intermediate state of a job.

    Args:
        result: final output file of the job.
        made_from: everything that determines the result's bits; see :func:`made_from`.
        ending: suffix of the checkpoint's name.
    """

    def __init__(self, result: str | Path, made_from: Mapping[str, str], ending: str = "checkpoint") -> None:
        result = Path(result)
        self.path = result.with_name(f".{result.name}.{ending}")
        self._made_from = dict(made_from)
        self._steps: dict[str, Tensor] | None = None
        self._last = time.monotonic()

    def load(self) -> dict[str, Tensor]:
        """Load the saved tensors; empty without a checkpoint of exactly this job."""
        if not self.path.is_file():
            return {}
        try:
            tensors, about = load_tensors(self.path)
        except UserError:
            print(f"{self.path} is damaged and is not used", file=sys.stderr, flush=True)
            return {}
        finally:
            forget_input(self.path)
        if about != self._made_from:
            other = sorted(key for key in self._made_from if about.get(key) != self._made_from[key])
            print(
                f"{self.path} is not used: it is from a job with another {', '.join(other)}",
                file=sys.stderr,
                flush=True,
            )
            return {}
        return tensors

    def due(self, seconds: float) -> bool:
        """Whether ``seconds`` have passed since the last save; less work is not worth saving."""
        return time.monotonic() - self._last >= seconds

    def save(self, tensors: Mapping[str, Tensor]) -> None:
        """Replace the saved tensors; on failure, print a message and keep the earlier ones."""
        try:
            save_tensors(self.path, tensors, self._made_from)
            self._last = time.monotonic()
        except UserError as error:  # the job itself can continue
            print(f"no checkpoint: {error}", file=sys.stderr, flush=True)

    def once(self, step: str, compute: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Load a step's tensors from an earlier run, or compute and save them.

        Args:
            step: step name without ``/``.
            compute: called if the step is not saved; returns at least one named tensor.
        """
        if self._steps is None:
            self._steps = self.load()
        tensors = {name: value for name, value in self._steps.items() if name.partition("/")[0] == step}
        if tensors:
            print(f"{step}: loaded from a checkpoint", file=sys.stderr, flush=True)
        else:
            tensors = {f"{step}/{name}": value.detach().cpu() for name, value in compute().items()}
            self._steps |= tensors
            self.save(self._steps)
        return {name.partition("/")[2]: value for name, value in tensors.items()}

    def remove(self) -> None:
        """Remove the checkpoint, after the result is written."""
        for file in (self.path, seal_of(self.path), record_of(self.path)):
            file.unlink(missing_ok=True)


def made_from(
    name: str, settings: Mapping, seeds: Sequence[int], files: Iterable[str | Path], device: torch.device
) -> dict[str, str]:
    """Collect everything that determines a result's bits. Call it after loading all modules of the job.

    Args:
        name: the computed quantity.
        settings: the stage's settings.
        seeds: replica seeds.
        files: all input files, in order.
        device: compute device; threads and precision are the current ones.
    """
    environment = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
        "precision": torch.get_float32_matmul_precision(),
        "processor": torch.backends.cpu.get_cpu_capability(),
    }
    return metadata(name, settings, seeds) | {
        "inputs": json.dumps([checksum(Path(file)) for file in files]),
        "machine": json.dumps(environment, sort_keys=True),
    }


def tables_tensor(tables: Mapping[str, pd.DataFrame]) -> Tensor:
    """Pack named tables into one byte tensor ``(N,)``; numbers keep their bits."""
    text = json.dumps({name: table.to_dict("list") for name, table in tables.items()})
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


def tensor_tables(tensor: Tensor) -> dict[str, pd.DataFrame]:
    """Unpack the tables from :func:`tables_tensor`."""
    return {name: pd.DataFrame(columns) for name, columns in json.loads(bytes(tensor.tolist())).items()}
