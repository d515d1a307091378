"""Boot: from the start of the program to the first line of the guest's init; and what a whole boot costs."""

import re
from statistics import median

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
    """{description: number} from `-d stats`, whose lines are "[NAME] NUMBER  DESCRIPTION".

    A description found twice keeps its larger number.
    """
    out = {}
    for value, name in re.findall(r"^ +(?:[a-z_]+ +)?([0-9.]+)  (.+)$", text, re.M):
        out[name] = max(float(value), out.get(name, 0.0))
    return out


def find(statistics, start):
    return next((v for k, v in statistics.items() if k.startswith(start)), None)


def account(peer, kernels, initrd, progress):
    """One boot to power-off for each kernel with statistics on: the TC's share, the monitor's memory."""
    results = {}
    for name, kernel in kernels.items():
        progress(f"statistics: {name}")
        memory = MemoryPeak()
        with peer.start(kernel, initrd, 'rf.run="true"', ["-d", "stats"]) as vm:
            vm.wait_exit(TIMEOUT, memory.poll)
            statistics = parse_statistics(vm.errors() + vm.output.decode(errors="replace"))
        results[name] = {"statistics": statistics, "memory_kib": memory.peak, "own_kib": memory.own}
    return results


def account_metrics(results):
    out = {}
    for kernel, r in results.items():
        executed = find(r["statistics"], "instructions executed in translated code")
        interpreted = find(r["statistics"], "instructions interpreted")
        if executed:
            out[f"translated.{kernel}.percent"] = 100 * executed / (executed + (interpreted or 0))
        out[f"memory.{kernel}.mib"] = r["own_kib"] / 1024
    return out
