"""One HTML page without anything from elsewhere: bars for each benchmark, and its history over earlier records."""

import glob
import html
import json
import os

from harness import figures
from harness.report import amount

TITLES = {"nano": "Nanobenchmarks (cycles)", "boot": "Boot", "system": "System programs",
          "compute": "Compute programs", "account": "Memory"}
COLOURS = ("#2f6fb2", "#c2602b", "#4b8f4b", "#8a5fb0", "#8c8c2b", "#5f8f9b")
OWN = "ringfence"
BAR, SPARK, SPARK_HEIGHT = 320, 160, 26

STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:2em auto;max-width:76em;padding:0 1em;color:#222;background:#fff}
table{border-collapse:collapse;margin:.5em 0 2em}td,th{padding:.25em .8em;text-align:right;border-top:1px solid #ddd}
td:first-child,th:first-child{text-align:left}td.bars{text-align:left}h2{margin-top:2em}.key{margin-right:1.5em}
.key i{display:inline-block;width:.8em;height:.8em;margin-right:.4em}.good{color:#2c7a2c}.bad{color:#b3261e}
.note{color:#666}@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}td,th{border-color:#383838}
.good{color:#7ccf7c}.bad{color:#ff8a80}.note{color:#999}}
"""


def history(directory, upto):
    """Earlier records with figures, oldest first, up to and including the one started at `upto`."""
    found = []
    for path in glob.glob(os.path.join(directory, "*.json")):
        try:
            with open(path, encoding="utf-8") as f:
                record = json.load(f)
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and record.get("figures") and record.get("started", "") <= upto:
            found.append(record)
    return sorted(found, key=lambda r: r["started"])


def points(records, part, group, name):
    """[(label, value)]: our figure over the calibration loop's where there is one, so that a busy host matters less."""
    out = []
    for record in records:
        try:
            value = record["figures"][part][group][name]["peers"][OWN]["best"]
        except KeyError:
            continue
        scale = record.get("calibration") if part != "account" else 1
        out.append((f"{record.get('commit', '?')} {record['started']}: {value:.4g}", value / (scale or 1)))
    return out


def spark(values):
    if len(values) < 2:
        return ""
    top = max(v for _, v in values) or 1
    step = (SPARK - 8) / (len(values) - 1)
    at = [(4 + i * step, SPARK_HEIGHT - 3 - (SPARK_HEIGHT - 6) * v / top) for i, (_, v) in enumerate(values)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="{COLOURS[0]}"><title>{html.escape(label)}</title></circle>'
                   for (x, y), (label, _) in zip(at, values))
    return (f'<svg width="{SPARK}" height="{SPARK_HEIGHT}"><polyline points="{line}" fill="none" '
            f'stroke="{COLOURS[0]}" stroke-width="1.2"/>{dots}</svg>')


def bars(peers, colours, unit):
    """One bar for each peer, as long as its share of the longest; the noise as a thin line at its end."""
    top = max(f["value"] for f in peers.values()) or 1
    out = []
    for i, (peer, f) in enumerate(peers.items()):
        width, noise = BAR * f["value"] / top, BAR * f["value"] / top * f["noise"]
        tip = html.escape(f"{peer}: {amount(f['value'], unit)}, noise {100 * f['noise']:.0f} %")
        out.append(f'<g><title>{tip}</title><rect x="0" y="{i * 8}" width="{max(width, 1):.1f}" height="7" fill="{colours[peer]}"/>'
                   f'<line x1="{max(width - noise, 0):.1f}" x2="{width + noise:.1f}" y1="{i * 8 + 3.5}" y2="{i * 8 + 3.5}" '
                   f'stroke="#888"/></g>')
    return f'<svg width="{BAR + 20}" height="{8 * len(peers)}">{"".join(out)}</svg>'


def ratio_cell(peers, over, under, good_above_one):
    if over not in peers or under not in peers or not peers[under]["value"]:
        return "<td></td>"
    r = peers[over]["value"] / peers[under]["value"]
    style = ("good" if r >= 1 else "bad") if good_above_one else ""
    return f'<td class="{style}">{r:.2f}</td>'


def table(part, group, names, records, order, colours):
    head = "".join(f"<th>{html.escape(p)}</th>" for p in order)
    lines = [f"<h3>{html.escape(group)}</h3><table><tr><th></th><th></th>{head}<th>TCG / ours</th><th>ours / native</th>"
             "<th>history</th></tr>"]
    for name, entry in names.items():
        peers = {p: entry["peers"][p] for p in order if p in entry["peers"]}
        cells = "".join(f"<td>{amount(peers[p]['value'], entry['unit']) if p in peers else ''}</td>" for p in order)
        lines.append(f'<tr><td>{html.escape(name)}</td><td class="bars">{bars(peers, colours, entry["unit"])}</td>{cells}'
                     f'{ratio_cell(peers, "qemu-tcg", OWN, True)}{ratio_cell(peers, OWN, "native", False)}'
                     f"<td>{spark(points(records, part, group, name))}</td></tr>")
    lines.append("</table>")
    return "\n".join(lines)


def build(record, records):
    """The page's text."""
    order = []
    for *_, peers in figures.flat(record["figures"]):
        order += [p for p in peers if p not in order]
    order.sort(key=lambda p: (p != "native", p != OWN, p))
    colours = {p: COLOURS[i % len(COLOURS)] for i, p in enumerate(sorted(order, key=lambda p: (p != OWN, p)))}
    keys = "".join(f'<span class="key"><i style="background:{colours[p]}"></i>{html.escape(p)}</span>' for p in order)
    host = record["host"]
    out = ["<!doctype html><html lang=en><meta charset=utf-8><title>Ringfence benchmarks</title>",
           f"<style>{STYLE}</style><h1>Ringfence benchmarks</h1>",
           f'<p>{html.escape(record["started"])}, commit {html.escape(record["commit"])}, {html.escape(host["cpu"])}, '
           f'{host["cpus"]} processors, load {host["load"][0]:.1f}, {record["runs"]} runs.</p><p>{keys}</p>',
           '<p class="note">Bars are medians, shorter is better. History: this and earlier records, our figure over a '
           "calibration loop of the same run.</p>"]
    if record.get("budgets"):
        out.append("<h2>Budgets</h2><pre>" + html.escape("\n".join(record["budgets"])) + "</pre>")
    for part, groups in record["figures"].items():
        out.append(f"<h2>{TITLES.get(part, part)}</h2>")
        out += [table(part, group, names, records, order, colours) for group, names in groups.items()]
    return "\n".join(out) + "</html>\n"


def write(path, record, directory):
    with open(path, "w", encoding="utf-8") as f:
        f.write(build(record, history(directory, record["started"])))
