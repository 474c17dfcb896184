#!/usr/bin/env bash
# Run the demo study and name what it made. Usage: workflow/demo.sh [CORES]
set -euo pipefail
cd "$(dirname "$0")/.."
cores=${1:-2}
results=results/demo

# Memory that training frees at each step is kept for the next one: less time in the kernel.
export MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_MMAP_THRESHOLD_=4000000000
# The fork server only saves start-up time: the same command without it gives the same results.
PYTHONPATH="$PWD/workflow/plugins${PYTHONPATH:+:$PYTHONPATH}" \
    python workflow/scripts/fork_server.py snakemake report --profile profiles/local --cores "$cores" --logger stages

echo
echo "Report:   $results/report.html"
echo "Explorer: $results/explorer.html"
echo "Audit:    $results/audit.html: $(sed -n 1p logs/demo/report.log)"
echo "Figures:  $results/figures/ (each as svg, pdf, png)"
find $results/figures -name '*.svg' -printf '            %f\n' | sort
echo "Tables:   $results/tables/ (each as parquet, csv)"
find $results/tables -name '*.csv' -printf '            %f\n' | sort
