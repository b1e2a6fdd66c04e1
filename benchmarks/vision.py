"""torchvision's models, even if its compiled operators do not fit the build of torch: models use none of them."""

import importlib
import sys

import torch


def models():
    """The module ``torchvision.models``."""
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for name in ("nms", "qnms"):
            _DECLARED.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return importlib.import_module("torchvision.models")


_DECLARED = torch.library.Library("torchvision", "FRAGMENT")
