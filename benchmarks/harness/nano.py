"""Nanobenchmarks: cycles of single operations, from a bare kernel in each VMM and from the host where it can."""

import os
import re
import subprocess
from statistics import median

from harness.peers import Failed

MODES = ("paging", "pae")
TIMEOUT = 120
# A&A's software VMM (ASPLOS 2006), in cycles of a 3.8 GHz Pentium 4; callret: over native.
PAPER = {"syscall_int": 2308, "syscall_sysenter": 2308, "in": 203, "callret": 18, "pgfault_user": 3927,
         "divzero": 3223, "ptemod_touch": 391}
ARGUMENTS = ["-no-reboot", "-m", "64", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-serial", "stdio",
             "-display", "none", "-monitor", "none"]


def parse(text, who):
    found = {name: float(value) for name, value in re.findall(r"^NANO (\S+) ([0-9.]+)\s*$", text, re.M)}
    if re.search(r"^FAIL", text, re.M) or not found:
        raise Failed(f"{who}: {text[-300:]}")
    return found


def usable(peer, directory):
    """Whether the peer runs the smallest guest at all, and why not: an accelerator may be there and not work."""
    try:
        run_guest(peer, os.path.join(directory, "nano.elf"), "loop", 20)
    except (Failed, OSError) as e:
        return False, str(e)
    return True, ""


def run_guest(peer, image, mode, timeout=TIMEOUT):
    command = [*peer.command, "-kernel", image, "-append", mode, *ARGUMENTS]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as e:
        raise Failed(f"{peer.name}: the nanobenchmarks do not end") from e
    text = done.stdout.decode(errors="replace").replace("\r", "")
    if "NANO end" not in text:
        raise Failed(f"{peer.name}: the nanobenchmarks stopped: {text[-200:]} {done.stderr.decode(errors='replace')[-200:]}")
    return parse(text, peer.name)


def measure(peers, directory, runs, progress):
    """{mode: {name: {peer: [cycles]}}}, the peers taking turns; "native" for what user code can do."""
    results = {mode: {} for mode in MODES}

    def add(mode, peer, values):
        for name, value in values.items():
            if name != "end":
                results[mode].setdefault(name, {}).setdefault(peer, []).append(value)

    for turn in range(runs):
        progress(f"nano {turn + 1}/{runs}: native")
        out = subprocess.run([os.path.join(directory, "nano")], capture_output=True, text=True, timeout=TIMEOUT, check=False)
        native = parse(out.stdout, "native")
        for mode in MODES:
            add(mode, "native", native)
            for peer in peers:
                progress(f"nano {turn + 1}/{runs}: {mode}, {peer.name}")
                add(mode, peer.name, run_guest(peer, os.path.join(directory, "nano.elf"), mode))
    return results


def metrics(results):
    """nano.MODE.NAME.PEER: cycles; .speedup: TCG's over ours; nano.MODE.callret_over_native."""
    out = {}
    for mode, by_name in results.items():
        for name, by_peer in by_name.items():
            cycles = {peer: median(values) for peer, values in by_peer.items()}
            for peer, value in cycles.items():
                out[f"nano.{mode}.{name}.{peer}"] = value
            if "ringfence" in cycles and "qemu-tcg" in cycles:
                out[f"nano.{mode}.{name}.speedup"] = cycles["qemu-tcg"] / max(cycles["ringfence"], 0.1)
            if "ringfence" in cycles and "native" in cycles:
                out[f"nano.{mode}.{name}.ringfence.over_native"] = cycles["ringfence"] - cycles["native"]
    return out
