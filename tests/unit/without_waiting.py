"""Runs a program as `python PROGRAM` does, but says what it would wait for instead of waiting."""

import os
import runpy
import sys
import time

if __name__ == "__main__":
    time.sleep = lambda seconds: print(f"waits {seconds:g}", file=sys.stderr)
    sys.argv = sys.argv[1:]
    sys.path.insert(0, os.path.dirname(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name="__main__")
