"""Snakemake's command line, which looks at its jobs' memory once in five seconds, not twice in one.

What `benchmark:` measures takes a tenth of the time of short jobs, and more where tests run side by
side; no test asks how a job's memory grew.
"""

from __future__ import annotations

import snakemake.benchmark
from snakemake.cli import main

if __name__ == "__main__":
    snakemake.benchmark.BENCHMARK_INTERVAL_SHORT = 5
    main()
