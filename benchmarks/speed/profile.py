"""Where the time of one step of elastic weight consolidation goes, by kind of operation."""

import torch
from torch.profiler import profile

from speed.setting import BATCH_SIZE
from speed.table import Row
from speed.timing import seconds_of, summary
from speed.training import EXTRAS, NETWORK, OURS, our_stack

GROUPS = {
    "matrix products": ("mm", "addmm", "bmm", "baddbmm"),
    "Adam": ("_fused_adam_",),
    "penalty and record": ("sub", "addcmul", "addcmul_", "add_"),
    "copies (batches, record)": (
        "copy_",
        "cat",
        "stack",
        "index",
        "index_select",
        "clone",
        "fill_",
    ),
}
"""Kind → names of torch's operations. Time between operations is in none."""

REST = "other operations"
WHOLE = "the whole step, without the profiler"


def measure(images: int, replicas: int) -> list[Row]:
    """Microseconds per replica-step of each kind of operation, by torch's profiler, on one thread of the CPU.

    Args:
        images: in the epoch that is trained, under penalty and with a recorder.
        replicas: that train.
    """
    threads = torch.get_num_threads()
    try:
        run = our_stack(images, EXTRAS["both"], "cpu", range(replicas))
        seconds = min(seconds_of(run), seconds_of(run))
        with profile() as seen:
            run()
    finally:
        torch.set_num_threads(threads)
    taken = dict.fromkeys([*GROUPS, REST], 0.0)
    for event in seen.key_averages():
        name = event.key.removeprefix("aten::")
        group = next((group for group, names in GROUPS.items() if name in names), REST)
        taken[group] += event.self_cpu_time_total
    steps = replicas * images // BATCH_SIZE
    taken[WHOLE] = seconds * 1e6
    return [
        Row("profile", NETWORK, kind, OURS, summary([value / steps]), "µs per replica-step", size=replicas)
        for kind, value in taken.items()
    ]
