"""Everything that decides how long a click takes, measured in one run on the machine at hand.

    python -m benchmarks [PART ...]

Without a name: the networks alone (`segmenters`), queueing alone, and whole requests from CVAT,
inline and through RQ. `zoo` takes every model there is, which is a matter of many minutes.
"""

from __future__ import annotations

import subprocess
import sys

PARTS = ("segmenters", "queueing", "cvat")
KNOWN = (*PARTS, "zoo", "codecs", "ritm", "mobilesam", "tracking")


def main() -> None:
    """Run the parts one after the other, each in a process of its own."""
    wanted = sys.argv[1:] or PARTS
    unknown = [part for part in wanted if part not in KNOWN]
    if unknown:
        sys.exit(f"there is no benchmark {unknown[0]!r}; there are {', '.join(KNOWN)}")
    for part in wanted:
        print(f"\n{part}", flush=True)
        ran = subprocess.run([sys.executable, "-m", f"benchmarks.{part}"], check=False)
        if ran.returncode:
            sys.exit(f"benchmarks.{part} failed")


if __name__ == "__main__":
    main()
