"""Memory of an importance of the published convolutional network, a program for tests and benchmarks.

Prints the resident memory in bytes before the estimate (with network and inputs), and its peak.
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
    # a first computation loads the libraries: their memory is not measured
    estimate(name, network, inputs[:1], labels[:1])
    before = status("VmRSS")
    estimate(name, network, inputs, labels)
    print(before, status("VmHWM"))


if __name__ == "__main__":
    main()
