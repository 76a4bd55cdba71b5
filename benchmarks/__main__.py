"""Everything that decides how long a click takes, measured in one run on the machine at hand.

    python -m benchmarks

The networks alone, queueing alone, and whole requests from CVAT, inline and through RQ.
"""

from __future__ import annotations

import subprocess
import sys

PARTS = ("segmenters", "queueing", "cvat")


def main() -> None:
    """Run the parts one after the other, each in a process of its own."""
    for part in PARTS:
        print(f"\n{part}", flush=True)
        ran = subprocess.run([sys.executable, "-m", f"benchmarks.{part}"], check=False)
        if ran.returncode:
            sys.exit(f"benchmarks.{part} failed")


if __name__ == "__main__":
    main()
