"""Reads the host's log: how many transfers ran at once at most, how many there were, how many bytes.

    parallel.py LOG [PREFIX]

Only requests whose path starts with PREFIX (default /assets/) count. Prints `peak=… requests=… bytes=…`.
"""

import re
import sys

LINE = re.compile(r'^(\d+\.\d+) (\d+\.\d+) (\d+) (\d+) (\S+) "(\S+)" ')


def transfers(lines, prefix):
    for line in lines:
        match = LINE.match(line)
        if match and match[6].startswith(prefix):
            end, duration = float(match[1]), float(match[2])
            yield end - duration, end, int(match[4])


def peak(spans):
    # An end sorts before a start of the same instant: clock resolution is a millisecond.
    events = sorted([(start, 1) for start, _, _ in spans] + [(end, -1) for _, end, _ in spans])
    running = highest = 0
    for _, change in events:
        running += change
        highest = max(highest, running)
    return highest


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as log:
        spans = list(transfers(log, sys.argv[2] if len(sys.argv) == 3 else "/assets/"))
    print(f"peak={peak(spans)} requests={len(spans)} bytes={sum(span[2] for span in spans)}")
