"""Boot: from the start of the program to the first line of the guest's init; and what a whole boot costs."""

import json
from statistics import median

from harness.peers import Failed

INIT = "ringfence: init"
TIMEOUT = 60


def measure(peers, kernels, initrd, runs, progress):
    """{kernel: {peer: {"wall": [seconds], "cpu": [seconds]}}}, the peers taking turns."""
    results = {k: {p.name: {"wall": [], "cpu": []} for p in peers} for k in kernels}
    for turn in range(runs):
        for name, kernel in kernels.items():
            for peer in peers:
                progress(f"boot {turn + 1}/{runs}: {name}, {peer.name}")
                with peer.start(kernel, initrd) as vm:
                    seconds = vm.wait_for(INIT, TIMEOUT)
                results[name][peer.name]["wall"].append(seconds)
                results[name][peer.name]["cpu"].append(vm.cpu_seconds)
    return results


def metrics(results):
    out = {}
    for kernel, by_peer in results.items():
        for peer, times in by_peer.items():
            out[f"boot.{kernel}.{peer}"] = median(times["wall"])
            out[f"boot.{kernel}.{peer}.cpu"] = median(times["cpu"])
        if "ringfence" in by_peer and "qemu-tcg" in by_peer:
            for end, speedup in (("", "speedup"), (".cpu", "cpu_speedup")):
                out[f"boot.{kernel}.{speedup}"] = (out[f"boot.{kernel}.qemu-tcg{end}"] /
                                                   out[f"boot.{kernel}.ringfence{end}"])
    return out


class MemoryPeak:
    """The highest use of memory seen, in KiB. Guest RAM and TC are shared memory (RssShmem) and stay out of `own`."""

    FIELDS = ("RssAnon", "RssFile", "VmPTE", "RssShmem")

    def __init__(self):
        self.peak = dict.fromkeys(self.FIELDS, 0)
        self.own = 0

    def poll(self, pid):
        try:
            with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
                now = {k: int(v.split()[0]) for k, v in (l.split(":", 1) for l in f) if k in self.FIELDS}
        except (FileNotFoundError, ProcessLookupError):
            return
        for field, value in now.items():
            self.peak[field] = max(self.peak[field], value)
        self.own = max(self.own, sum(now.get(f, 0) for f in ("RssAnon", "RssFile", "VmPTE")))


def parse_statistics(text):
    """The record of `-d stats,json`: one line among the guest's output."""
    at = text.rfind('{"ringfence_statistics"')
    if at < 0:
        raise Failed(f"no statistics: {text[-300:]}")
    return json.loads(text[at:].splitlines()[0])


def account(peer, kernels, initrd, progress):
    """One boot to power-off for each kernel with statistics on: the TC's share, the monitor's memory."""
    results = {}
    for name, kernel in kernels.items():
        progress(f"statistics: {name}")
        memory = MemoryPeak()
        with peer.start(kernel, initrd, 'rf.run="true"', ["-d", "stats,json"]) as vm:
            vm.wait_exit(TIMEOUT, memory.poll)
            statistics = parse_statistics(vm.errors() + vm.output.decode(errors="replace"))
        results[name] = {"statistics": statistics, "memory_kib": memory.peak, "own_kib": memory.own}
    return results


DERIVED = ("translate_ns_per_guest_instruction", "tc_bytes_per_guest_byte", "translator_share_of_time",
           "instructions_per_dispatch", "instructions_per_callout", "instructions_per_lookup_miss")


def account_metrics(results):
    out = {}
    for kernel, r in results.items():
        derived = r["statistics"].get("derived", {})
        if "tc_share_of_instructions" in derived:
            out[f"translated.{kernel}.percent"] = 100 * derived["tc_share_of_instructions"]
        for name in DERIVED:
            if name in derived:
                out[f"account.{kernel}.{name}"] = derived[name]
        out[f"memory.{kernel}.mib"] = r["own_kib"] / 1024
    return out
