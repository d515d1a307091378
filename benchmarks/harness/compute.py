"""User programs in the guest and natively: the same binaries, taking turns program by program."""

import subprocess
import time
from math import exp, log
from statistics import median

from harness.peers import Failed

BOOT_TIMEOUT = 120
RUN_TIMEOUT = 120
CLOCK_MINIMUM_US = 100000  # in shorter runs the start of the program hides what the clock does


def parse(line, program):
    """A result line of user/crt.c."""
    fields = line.split()
    if len(fields) != 6 or fields[0] != program.split("/")[-1]:
        return None
    ns, total_us, units, result, operations = (int(x) for x in fields[1:])
    return {"ns": ns, "total_us": total_us, "units": units, "result": result, "operations": operations}


def run_native(path, program, limit_ms):
    out = subprocess.run([path, str(limit_ms)], capture_output=True, text=True, timeout=RUN_TIMEOUT, check=False).stdout
    sample = parse(out.strip(), program)
    if not sample:
        raise Failed(f"native: {program} printed {out!r}")
    return sample


def run_guest(vm, program, limit_ms):
    started = time.monotonic()
    vm.send(f"{program} {limit_ms}")
    while not (sample := parse(line := vm.next_line(started + RUN_TIMEOUT), program)):
        if "benchmarks:" in line and "failed" in line:
            raise Failed(f"{vm.name}: {program}: {line}")
    # The guest's clock must not flatter its VMM: the host's is the judge (less the unit that warms up).
    wall_us = (time.monotonic() - started) * 1e6 - sample["ns"] / 1000
    sample["clock"] = sample["total_us"] / wall_us
    return sample


def start_guests(peers, kernel, initrd):
    vms = []
    try:
        for peer in peers:
            vm = peer.start(kernel, initrd, 'rf.run="/bench/serve"')
            vms.append(vm)
            vm.wait_for("benchmarks: ready", BOOT_TIMEOUT)
    except Failed:
        stop_guests(vms)
        raise
    return vms


def stop_guests(vms):
    for vm in vms:
        vm.stop()


def measure(peers, kernel, initrd, programs, runs, limit_ms, progress):
    """{program: {peer: [sample]}}. Guests are started anew for each turn: placement of pages differs by boot."""
    results = {p: {name: [] for name in ["native"] + [peer.name for peer in peers]} for p in programs}
    for turn in range(runs):
        progress(f"turn {turn + 1}/{runs}: starting the guests")
        vms = start_guests(peers, kernel, initrd)
        try:
            for program, path in programs.items():
                progress(f"turn {turn + 1}/{runs}: {program}")
                results[program]["native"].append(run_native(path, program, limit_ms))
                for vm in vms:
                    results[program][vm.name].append(run_guest(vm, program, limit_ms))
        finally:
            stop_guests(vms)
    return results


def ratio(by_peer, peer):
    return median(s["ns"] for s in by_peer[peer]) / median(s["ns"] for s in by_peer["native"])


def over_translated(name, by_peer, floor=0):
    """{NAME.over_translated: what running directly, where it seems worth it, makes of the time}, when both were measured.

    By the best runs: the difference looked for is smaller than what a busy host does to a median. Translations that
    are faster than `floor` are luck that nothing else is measured by.
    """
    ours, translated = ([s["ns"] for s in by_peer.get(peer, ())] for peer in ("ringfence", "ringfence-translated"))
    return {f"{name}.over_translated": min(ours) / max(min(translated), floor)} if ours and translated else {}


def metrics(results):
    """Ratios to native: for each program, and geometric means for each kind; and to Ringfence with direct=off."""
    out = {}
    kinds = {}
    for program, by_peer in results.items():
        native = min(s["ns"] for s in by_peer["native"])  # where loops lie in cache lines can make translations faster
        out |= over_translated(f"compute.{program}", by_peer, native)
        for peer in by_peer:
            if peer == "native":
                continue
            value = out[f"compute.{program}.{peer}"] = ratio(by_peer, peer)
            kinds.setdefault((program.split("/")[0], peer), []).append(value)
    for (kind, peer), values in kinds.items():
        out[f"compute.{kind}.{peer}"] = exp(sum(map(log, values)) / len(values))
    return out


def wrong_results(results):
    """{peer: complaints about programs that compute something else than natively}."""
    out = {}
    for program, by_peer in results.items():
        expected = {s["result"] for s in by_peer["native"]}
        for peer, samples in by_peer.items():
            if {s["result"] for s in samples} - expected:
                out.setdefault(peer, []).append(f"{peer}: {program} computes something else than natively")
    return out


def wrong_clocks(results):
    """{peer: complaints about a guest's clock that disagrees with the host's}."""
    clocks = {}
    for by_peer in results.values():
        for peer, samples in by_peer.items():
            clocks.setdefault(peer, []).extend(s["clock"] for s in samples if s.get("clock") and
                                               s["total_us"] >= CLOCK_MINIMUM_US)
    return {peer: [f"{peer}: the guest's clock runs at {median(values):.2f} of the host's: its ratios are wrong"]
            for peer, values in clocks.items() if values and not 0.8 < median(values) < 1.02}
