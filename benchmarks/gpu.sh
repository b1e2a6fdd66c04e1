#!/bin/sh
# GPU checks and measurements; needs Python with torch, numpy, scipy, pandas, safetensors and psutil, nothing else.
# Usage: benchmarks/gpu.sh [PART ...] [options]; benchmarks/gpu.sh --help lists parts and options.
# Results are written to $OUT (default: benchmarks/results/gpu).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
for folder in "$root/src" "$root/workflow/scripts"; do
	if [ -d "$folder/weight_importance" ]; then
		PYTHONPATH="$folder:$root/benchmarks${PYTHONPATH:+:$PYTHONPATH}"
	fi
done
export PYTHONPATH PYTHONUNBUFFERED=1
exec "${PYTHON:-python3}" -m gpu --output "${OUT:-$root/benchmarks/results/gpu}" "$@"
