"""A program for the test of memory: an importance of the published convolutional network, and the memory it took.

Prints the resident memory in bytes before the estimate (network and inputs are there), and its peak by the end.
"""

import sys

import torch

from weight_importance import estimate
from weight_importance.learning.networks import CNN


def status(entry: str) -> int:
    """A line of /proc/self/status in bytes. (getrusage would count the process that started this one as well.)"""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{entry}:"))


def main() -> None:
    name, samples = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = CNN()
    inputs, labels = torch.rand(samples, 1, 28, 28), torch.randint(10, (samples,))
    # the libraries' own memory, which comes with the first computation, is not what is measured
    estimate(name, network, inputs[:1], labels[:1])
    before = status("VmRSS")
    estimate(name, network, inputs, labels)
    print(before, status("VmHWM"))


if __name__ == "__main__":
    main()
