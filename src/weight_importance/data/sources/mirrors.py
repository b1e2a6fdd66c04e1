"""The web servers that torchvision lists for its data sets, with timeouts for unresponsive networks."""

import http.client
import tempfile
import threading
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

import torch

from weight_importance.data.sources.content import DataFile, read_folder
from weight_importance.data.sources.limits import ANSWER_LIMIT, STALL_LIMIT, file_size_limit, socket_timeout
from weight_importance.data.sources.reasons import SourceError, describe


@dataclass(frozen=True)
class TorchvisionMirrors:
    """The mirrors that torchvision lists for a data set, downloaded with torchvision's code.

    Args:
        class_name: the data set's class in ``torchvision.datasets``.
        mirrors: replacement for the class's mirrors.
        answer_limit: seconds within which a mirror must start to respond.
    """

    class_name: str
    mirrors: tuple[str, ...] = ()
    answer_limit: float = ANSWER_LIMIT

    def __str__(self) -> str:
        return "torchvision's mirrors"

    def fetch(self, files: Mapping[str, DataFile]) -> dict[str, bytes]:
        torchvision_datasets = import_torchvision("datasets")
        reasons = []
        for mirror in self.mirrors or getattr(torchvision_datasets, self.class_name).mirrors:
            try:
                with tempfile.TemporaryDirectory() as folder:
                    self._download(torchvision_datasets.utils, mirror, files, folder)
                    return read_folder(Path(folder), files)
            except SourceError as error:
                reasons.append(f"{mirror}: {error}")
        raise SourceError("; ".join(reasons))

    def _download(self, utils: ModuleType, mirror: str, files: Mapping[str, DataFile], folder: str) -> None:
        names = [f"{file.name}.gz" for file in files.values()]
        require_answer(mirror + names[-1], self.answer_limit)
        with socket_timeout(STALL_LIMIT), file_size_limit():
            for name in names:
                try:
                    # no MD5 of the archive: the SHA-256 of its content is verified, with a better message
                    utils.download_url(mirror + name, folder, name)
                except (OSError, RuntimeError, http.client.HTTPException) as error:
                    raise SourceError(f"{name}: {describe(error)}") from error


def import_torchvision(module: str) -> ModuleType:
    """Import a module of torchvision, even with a CUDA build of torchvision and a CPU build of torch.

    In that case the compiled operators cannot be loaded, and the import fails for lack of two operator schemas that
    data sets and classifiers never use; defining these schemas lets the import succeed.

    Raises:
        SourceError: torchvision cannot be imported.
    """
    try:
        try:
            import torchvision
        except RuntimeError as error:
            if "torchvision::nms" not in str(error):
                raise
            schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            for operator in ("nms", "qnms"):
                torch.library.define(f"torchvision::{operator}", schema)
            import torchvision
        return import_module(f"{torchvision.__name__}.{module}")
    except (ImportError, RuntimeError) as error:
        raise SourceError(f"torchvision cannot be imported: {describe(error)}") from error


def require_answer(url: str, limit: float) -> None:
    """Raise :class:`SourceError` unless the first bytes of ``url`` arrive within ``limit`` seconds.

    Uses a separate thread, because a socket timeout covers neither host name resolution nor attempts at several
    addresses.
    """
    reasons = [f"no answer within {limit} s"]

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=limit) as response:
                response.read(1)
        except (OSError, http.client.HTTPException) as error:
            if not isinstance(getattr(error, "reason", error), TimeoutError):
                reasons[0] = describe(error)
        else:
            reasons.clear()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(limit)
    if reasons:
        raise SourceError(reasons[0])
