#!/bin/sh
# GPU checks and measurements; needs Python with torch, numpy, scipy, pandas, safetensors and psutil, nothing else. The part
# published, which runs jobs of the workflow, also needs pydantic and PyYAML, and a plan (benchmarks/README.md).
# Usage: benchmarks/gpu.sh [PART ...] [options]; benchmarks/gpu.sh --help lists parts and options.
# Results are written to $OUT (default: benchmarks/results/gpu).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
# the package need not be installed
export PYTHONPATH="$root/src:$root/benchmarks${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
exec "${PYTHON:-python3}" -m gpu --output "${OUT:-$root/benchmarks/results/gpu}" "$@"
