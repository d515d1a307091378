"""What was measured, in one shape for all parts: the page, the history and the check work on this.

    {part: {group: {name: {"unit": "ns", "peers": {peer: {"value": median, "best": ..., "noise": ..., "samples": n}}}}}}

Less is better everywhere. The noise is the median distance from the median, of the median. A busy host makes things
slower, never faster: comparisons of one run with another use the best sample.
"""

from statistics import median


def figure(values):
    middle = median(values)
    noise = median(abs(v - middle) for v in values) / middle if middle else 0.0
    return {"value": middle, "best": min(values), "noise": round(noise, 4), "samples": len(values)}


def peers(unit, by_peer):
    return {"unit": unit, "peers": {peer: figure(values) for peer, values in by_peer.items() if values}}


def boot(part):
    return {kernel: {f"to init, {kind}": peers("s", {peer: times[kind] for peer, times in by_peer.items()})
                     for kind in ("wall", "cpu")}
            for kernel, by_peer in part.items()}


def programs(part):
    return {name: peers("ns", {peer: [s["ns"] / s["operations"] for s in samples] for peer, samples in by_peer.items()})
            for name, by_peer in ((program.split("/")[-1], by_peer) for program, by_peer in part.items())}


def compute(part):
    kinds = {}
    for program, by_peer in part.items():
        kinds.setdefault(program.split("/")[0], {})[program] = by_peer
    return {kind: programs(members) for kind, members in kinds.items()}


def system(part):
    return {kernel: programs(by_program) for kernel, by_program in part.items()}


def nano(part):
    return {mode: {name: peers("cycles", by_peer) for name, by_peer in by_name.items()} for mode, by_name in part.items()}


def account(part):
    """Ringfence alone: its memory, and what its translator costs."""
    out = {}
    for kernel, r in part.items():
        derived = r["statistics"].get("derived", {})
        values = {"own memory": ("MiB", r["own_kib"] / 1024),
                  "translation of an instruction": ("ns", derived.get("translate_ns_per_guest_instruction")),
                  "TC bytes for a guest byte": ("bytes", derived.get("tc_bytes_per_guest_byte"))}
        out[kernel] = {name: peers(unit, {"ringfence": [value]}) for name, (unit, value) in values.items() if value}
    return out


PARTS = {"nano": nano, "boot": boot, "system": system, "compute": compute, "account": account}


def figures(parts):
    return {name: PARTS[name](part) for name, part in parts.items() if name in PARTS}


def flat(all_figures):
    """(part, group, name, unit, {peer: figure}) one after another."""
    for part, groups in all_figures.items():
        for group, names in groups.items():
            for name, entry in names.items():
                yield part, group, name, entry["unit"], entry["peers"]
