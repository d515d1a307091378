"""What was measured, in one shape for all parts: the page, the history and the check work on this.

    {part: {group: {name: {"unit": "ns", "peers": {peer: {"value": median, "noise": relative}}}}}}

Less is better everywhere. The noise is the median distance from the median, of the median.
"""

from statistics import median


def figure(values):
    middle = median(values)
    noise = median(abs(v - middle) for v in values) / middle if middle else 0.0
    return {"value": middle, "noise": round(noise, 4), "samples": len(values)}


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
    return {kernel: {"own memory": peers("MiB", {"ringfence": [r["own_kib"] / 1024]})} for kernel, r in part.items()}


PARTS = {"nano": nano, "boot": boot, "system": system, "compute": compute, "account": account}


def figures(parts):
    return {name: PARTS[name](part) for name, part in parts.items() if name in PARTS}


def flat(all_figures):
    """(part, group, name, unit, {peer: figure}) one after another."""
    for part, groups in all_figures.items():
        for group, names in groups.items():
            for name, entry in names.items():
                yield part, group, name, entry["unit"], entry["peers"]
