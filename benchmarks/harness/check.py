"""Regressions: this run against a stored baseline, by ratios to a calibration loop that ran natively in the same run.

Compared is the best of each run's samples: other work on the host only ever adds time. A host that is faster or
slower by a factor changes nothing; one of another make does, and the baseline says which it was made on. What got
faster by more than noise is reported too, so that the baseline can follow.
"""

import json
import os
import subprocess

from harness import figures
from harness.peers import Failed

LEAST_MARGIN = 0.10  # below this nothing counts: placement of code and pages alone does that much
TIMES = ("s", "ns", "cycles")
NOISES = 4           # margins are so many times the noise of both runs


class Calibration:
    """The loop's cycles in TSC ticks, taken again and again while the others run."""

    def __init__(self, program):
        self.program, self.values = program, []

    def take(self):
        out = subprocess.run([self.program, "calibration"], capture_output=True, text=True, check=False).stdout.split()
        if len(out) != 3 or out[1] != "calibration":
            raise Failed(f"calibration: {out}")
        self.values.append(float(out[2]))

    def cycles(self):
        return min(self.values) if self.values else None


def ratios(all_figures, calibration):
    """{part/group/name: {"ratio", "noise"}} of Ringfence's figures; what is no time is compared as it is."""
    out = {}
    for part, group, name, unit, peers in figures.flat(all_figures):
        own = peers.get("ringfence")
        if own and name != "calibration":
            scale = calibration if unit in TIMES else 1
            out[f"{part}/{group}/{name}"] = {"ratio": own["best"] / scale, "noise": own["noise"]}
    return out


def load(path):
    try:
        with open(path, encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        raise Failed(f"{path} is missing: benchmarks/run --save-baseline makes it") from None


def save(path, head, now):
    record = {"cpu": head["host"]["cpu"], "commit": head["commit"], "started": head["started"], "ratios": now}
    with open(path + ".new", "w", encoding="utf-8") as f:
        json.dump(record, f, indent=1, sort_keys=True)
        f.write("\n")
    os.replace(path + ".new", path)


def change(old, new):
    """(how many times the old time, the margin within which that is noise)"""
    margin = max(LEAST_MARGIN, NOISES * (old["noise"] + new["noise"]))
    return new["ratio"] / old["ratio"] if old["ratio"] else 1.0, margin


def worse(baseline, now):
    """The names of what got slower beyond noise, the worst first."""
    found = []
    for name, old in baseline["ratios"].items():
        if name in now:
            times, margin = change(old, now[name])
            if times > 1 + margin:
                found.append((times, name))
    return [name for _, name in sorted(found, reverse=True)]


def confirm(baseline, now, again):
    """Suspects are measured again, twice at most, and keep their best: `now` is corrected."""
    for _ in range(2):
        suspects = worse(baseline, now)
        if not suspects:
            return
        for name, new in again(suspects).items():
            if name in now and new["ratio"] < now[name]["ratio"]:
                now[name] = new


def report(baseline, now, cpu):
    """Prints the verdict; True when nothing got worse."""
    compared = [name for name in baseline["ratios"] if name in now]
    slower = worse(baseline, now)
    faster = [n for n in compared if (c := change(baseline["ratios"][n], now[n]))[0] < 1 / (1 + c[1])]
    print(f"check against the baseline of {baseline['started']} ({baseline['commit']}): {len(compared)} figures")
    if baseline["cpu"] != cpu:
        print(f"  note: that was made on another processor: {baseline['cpu']}")
    for label, names in (("WORSE ", slower), ("better", faster)):
        for name in names:
            times, margin = change(baseline["ratios"][name], now[name])
            print(f"  {label}  {name}: {times:.2f} times the baseline's time (noise margin {100 * margin:.0f} %)")
    if len(compared) < len(baseline["ratios"]):
        print(f"  not measured now: {len(baseline['ratios']) - len(compared)}")
    print(f"  {len(slower)} worse, {len(faster)} better, {len(compared) - len(slower) - len(faster)} within the noise")
    return not slower
