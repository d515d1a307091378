"""Tables on the terminal, budgets, and the record in JSON."""

import fnmatch
import json
import os
import platform
import subprocess
from statistics import median

from harness.nano import PAPER

COLUMN = 14


def row(*cells):
    return f"{cells[0]:<24}" + "".join(f"{c:>{COLUMN}}" for c in cells[1:])


def spread(values):
    """Half the distance between the extremes, of the median: how noisy a measurement was."""
    return 100 * (max(values) - min(values)) / 2 / median(values)


def boot_table(results, metrics):
    lines = []
    for kernel, by_peer in results.items():
        lines.append(row(f"boot {kernel}", "seconds", "+-", "cpu seconds"))
        for peer, t in by_peer.items():
            lines.append(row("  " + peer, f"{median(t['wall']):.3f}", f"{spread(t['wall']):.0f} %",
                             f"{median(t['cpu']):.3f}"))
        if f"boot.{kernel}.speedup" in metrics:
            lines.append(row("  TCG over ours", f"{metrics[f'boot.{kernel}.speedup']:.2f}", "",
                             f"{metrics[f'boot.{kernel}.cpu_speedup']:.2f}"))
    return lines


def compute_table(results, metrics):
    peers = list(next(iter(results.values())))
    lines = [row("user program", "native us", *(p + " x" for p in peers[1:]), *("+- " + p for p in peers))]
    for program, by_peer in results.items():
        lines.append(row("  " + program, f"{median(s['ns'] for s in by_peer['native']) / 1000:.0f}",
                         *(f"{metrics[f'compute.{program}.{p}']:.2f}" for p in peers[1:]),
                         *(f"{spread([s['ns'] for s in by_peer[p]]):.0f} %" for p in peers)))
    for kind in ("int", "fp"):
        if f"compute.{kind}.{peers[-1]}" in metrics:
            lines.append(row(f"  {kind} (geometric mean)", "",
                             *(f"{metrics[f'compute.{kind}.{p}']:.2f}" for p in peers[1:])))
    return lines


def duration(ns):
    for unit, scale in (("ns", 1), ("us", 1e3), ("ms", 1e6)):
        if ns < 1000 * scale:
            break
    return f"{ns / scale:.3g} {unit}" if ns < 1e9 else f"{ns / 1e9:.3g} s"


def amount(value, unit):
    if unit == "ns":
        return duration(value)
    if unit == "s":
        return f"{value:.3f} s"
    return f"{value:.1f} {unit}" if unit == "MiB" else f"{value:.{2 if value < 10 else 1}f}" if value < 1000 else f"{value:.0f}"


def nano_table(results, metrics):
    lines = []
    for mode, by_name in results.items():
        peers = list(dict.fromkeys(p for by_peer in by_name.values() for p in by_peer))
        lines.append(row(f"cycles, {mode}", *peers, "TCG/ours", "A&A 2006", *("+- " + p for p in peers)))
        for name, by_peer in by_name.items():
            speedup, paper = metrics.get(f"nano.{mode}.{name}.speedup"), PAPER.get(name)
            lines.append(row("  " + name, *(amount(median(by_peer[p]), "cycles") if p in by_peer else "" for p in peers),
                             f"{speedup:.2f}" if speedup else "", str(paper or ""),
                             *(f"{spread(by_peer[p]):.0f} %" if p in by_peer else "" for p in peers)))
    return lines


def system_table(results, metrics):
    lines = []
    for kernel, by_program in results.items():
        peers = list(next(iter(by_program.values())))
        lines.append(row(f"system, {kernel}", *peers, "TCG/ours", "ours/native", *("+- " + p for p in peers)))
        for program, by_peer in by_program.items():
            name = f"system.{kernel}.{program.split('/')[-1]}"
            ratios = (metrics.get(f"{name}.speedup"), metrics.get(f"{name}.ringfence.native"))
            lines.append(row("  " + program.split("/")[-1],
                             *(duration(metrics[f"{name}.{p}"]) if by_peer[p] else "?" for p in peers),
                             *(f"{r:.2f}" if r else "?" for r in ratios),
                             *(f"{spread([s['ns'] for s in by_peer[p]]):.0f} %" if by_peer[p] else "" for p in peers)))
    return lines


def translator_lines(kernel, statistics):
    """What the monitor itself did in that boot, and what it interpreted most."""
    derived, mmu, tc = (statistics.get(k, {}) for k in ("derived", "mmu", "tc"))
    kinds = list(statistics.get("interpreted_by_opcode", {}).items())[:6]
    return [f"  {kernel}: translator {derived.get('translate_ns_per_guest_instruction', 0):.0f} ns an instruction, "
            f"{derived.get('tc_bytes_per_guest_byte', 0):.1f} TC bytes a guest byte, "
            f"{100 * derived.get('translator_share_of_time', 0):.1f} % of the time",
            f"    {tc.get('callouts', 0)} callouts, {tc.get('lean_system', 0)} lean, {tc.get('dispatches', 0)} dispatches, "
            f"{tc.get('lookup_misses', 0)} look-up misses, {mmu.get('true_faults', 0)} true and {mmu.get('hidden_faults', 0)} "
            f"hidden faults, {mmu.get('fills', 0)} fills, {mmu.get('compares', 0)} page tables compared",
            "    interpreted most: " + ", ".join(f"{name} {count}" for name, count in kinds)]


def account_table(results, metrics):
    lines = [row("one boot to power-off", "TC share", "own MiB", "page tables", "RAM and TC")]
    for kernel, r in results.items():
        share = metrics.get(f"translated.{kernel}.percent")
        memory = r["memory_kib"]
        lines.append(row("  " + kernel, f"{share:.4f} %" if share else "?", f"{r['own_kib'] / 1024:.1f}",
                         f"{memory['VmPTE'] / 1024:.1f}", f"{memory['RssShmem'] / 1024:.0f}"))
    for kernel, r in results.items():
        lines += translator_lines(kernel, r["statistics"])
    return lines


def judge(budget, metrics):
    """(met, line) for one budget; met is None when it was not measured. Of several metrics the worst counts."""
    least = "at_least" in budget
    values = [v for k, v in metrics.items() if fnmatch.fnmatchcase(k, budget["metric"])]
    value = (min if least else max)(values) if values else None
    limit = budget["at_least"] if least else budget["at_most"]
    wanted = f"{'at least' if least else 'at most'} {limit:g}{budget['unit']}"
    if value is None:
        return None, f"  not measured  {budget['text']}: {wanted}"
    met = value >= limit if least else value <= limit
    shown = f"{value:.4f}" if budget["unit"] == "%" else f"{value:.2f}"
    off = abs(value - limit) / limit * 100
    return met, f"  {'met   ' if met else 'MISSED'} by {off:5.1f} %  {budget['text']}: {shown}{budget['unit']}, {wanted}"


def host():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()}


def commit(directory):
    """The commit measured, with a + when files differ from it."""
    command = ["git", "-C", directory, "describe", "--always", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def write_json(path, record):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(record, f, indent=1)
        f.write("\n")
