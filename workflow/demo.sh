#!/usr/bin/env bash
# Run the demo study and name what it made. Usage: workflow/demo.sh [CORES]
set -euo pipefail
cd "$(dirname "$0")/.."
cores=${1:-2}
results=results/demo
report=$results/report.html

# Memory that training frees at each step is kept for the next one: less time in the kernel.
export MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_MMAP_THRESHOLD_=4000000000
# The fork server only saves start-up time: the same command without it gives the same results.
python workflow/scripts/fork_server.py snakemake --profile profiles/local --cores "$cores"

audit=$(python workflow/scripts/audit.py $results --html $results/audit.html | sed -n 1p) || true

# The report holds the figures, so it is made again only when a figure is newer.
if [ ! -e "$report" ] || [ -n "$(find $results/figures -newer "$report" -print -quit)" ]; then
    snakemake --profile profiles/local --report "$report"
fi

echo
echo "Report:   $report"
echo "Explorer: $results/explorer.html"
echo "Audit:    $results/audit.html: $audit"
echo "Figures:  $results/figures/ (each as svg, pdf, png)"
find $results/figures -name '*.svg' -printf '            %f\n' | sort
echo "Tables:   $results/tables/ (each as parquet, csv)"
find $results/tables -name '*.csv' -printf '            %f\n' | sort
