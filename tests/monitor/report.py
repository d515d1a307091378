#!/usr/bin/env python3
"""The report in Chromium: what the page shows is what the monitor says, and it can be walked by clicking.   report.py RINGFENCE KERNEL"""
import json
import os
import re
import sys

from browser import Browser, or_skip
from harness import Checks, Vm

check = Checks()
browser = Browser(or_skip())
HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=2><!--&amp;\"'\\"


def rows(text):
    return [line.split() for line in text.splitlines()[1:-1]]


def numbers(text):
    return re.sub(r"[^0-9]", "", text or "")


def opened(vm, m, name):
    text = m.command(f"tc report {vm.path(name)}")
    check.matches("what was written", r"^\d+ CCFs, code of the hottest \d+; the guest waited \d+\.\d ms$", text)
    browser.open(f"file://{vm.path(name)}")
    check("the page is ready", browser.value("document.body.dataset.ready") == "yes")
    check("no complaints", not browser.complaints(), browser.complaints())


def pictures():
    """For people to look at, in the build directory: report-light.png and report-dark.png."""
    backgrounds = set()
    for scheme in ("light", "dark"):
        browser.dark(scheme == "dark")
        colours = browser.screenshot(os.path.join(os.path.dirname(sys.argv[1]), f"report-{scheme}.png"))
        check(f"{scheme}: something is drawn", colours > 16, colours)
        backgrounds.add(browser.value("getComputedStyle(document.body).backgroundColor"))
    check("the dark looks different", len(backgrounds) == 2, backgrounds)
    check("ready in the dark, too", browser.value("document.body.dataset.ready") == "yes")
    browser.dark(False)


def same_numbers(m, listed, key):
    """Tiles, counters, heat map and time line against the monitor."""
    total = sum(int(r[10 if key == "executions" else 9]) for r in listed)
    check("how many CCFs", browser.value("+document.querySelector('#tile-ccfs').dataset.value") == len(listed), len(listed))
    check(f"all {key}", browser.value(f"+document.querySelector('#tile-{key}').dataset.value") == total, total)
    for space in ("gpa", "lin"):
        browser.value(f"(s => {{ s.value = '{space}'; s.dispatchEvent(new Event('change')); }})(document.querySelector('#heat-space'))")
        check("the heat map has them all", browser.value("+document.querySelector('#heat-map').dataset.total") == total)
    colours = browser.value("(c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, s = new Set();"
                            "for (let i = 0; i < d.length; i += 4) s.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]); return s.size; })"
                            "(document.querySelector('#heat-map'))")
    check("it has colours", colours > 3, colours)
    info = dict(re.findall(r"^  (\w+) +(\d+)  ", m.command("info tc"), re.M))
    for name in ("translations", "invalidations", "chains", "guest_bytes", "host_bytes", "callouts"):
        shown = browser.value(f"document.querySelector('[data-name={name}]').dataset.value")
        check(f"counter {name}", shown == info[name], (shown, info[name]))
    translated = browser.value("+document.querySelector('[data-kind=translate]').dataset.total")
    check("the time line has all translations", translated == int(info["translations"]), translated)
    check("events are listed", browser.value("document.querySelectorAll('#event-table tbody tr').length") > 0)
    browser.value("(s => { s.value = [...s.options].find(o => o.text == 'translate').value; s.dispatchEvent(new Event('change')); })"
                  "(document.querySelector('#event-kind'))")
    words = browser.value("[...document.querySelectorAll('#event-table tbody tr')].map(r => r.cells[1].textContent)")
    check("of one kind", words and set(words) == {"translate"}, words)
    last = re.findall(r"^ +\d+\.\d+  translate +([0-9a-f]{8})  (.*)$", m.command("tc trace translate limit=1"), re.M)
    shown = browser.value("[...document.querySelectorAll('#event-table tbody tr')].map(r => [r.cells[2].textContent, r.cells[3].textContent])[0]")
    check("the last one", last and list(last[-1]) == shown, (last, shown))


def same_time():
    seconds = browser.value("JSON.parse(document.querySelector('#data').textContent).machine.seconds")
    parts = browser.value("[...document.querySelectorAll('#time-table tr[data-key]')].map(r => [r.dataset.key, +r.dataset.ns])")
    check("parts of the time make the whole", abs(sum(ns for _, ns in parts) / 1e9 - seconds) < 0.001 * seconds + 1e-3, (parts, seconds))
    check("some of it translated, some at rest", {"tc", "translator"} <= {k for k, _ in parts} and
          {"halted", "paused"} & {k for k, _ in parts}, parts)
    check("a bar for each", browser.value("document.querySelectorAll('#time-bar div').length") == len(parts))


def same_table(m, key):
    listed = rows(m.command(f"tc list sort={key} limit=20"))
    shown = browser.value("[...document.querySelectorAll('#unit-table tbody tr')].map(r => [...r.cells].map(c => c.textContent))")
    check("the hottest are in the table", [r[:3] for r in listed] == [r[:3] for r in shown], shown[:3])
    column = browser.value("[...document.querySelectorAll('#unit-table th')].findIndex(h => h.classList.contains('sorted'))")
    check("with their numbers", [r[10 if key == "executions" else 9] for r in listed] == [numbers(r[column]) for r in shown], shown[:3])
    return [int(r[0]) for r in listed]


def same_code(m):
    """The unit shown, against tc show: every line, and the reason for each."""
    here = browser.value("document.querySelector('#unit').dataset.ccf")
    title = browser.text("#unit-title")
    text = m.command(f"tc show 0x{title.split()[-1]}")
    # of several units at the address the one with this number
    part = next(p for p in text.split("\nCCF ") if re.match(rf"(CCF )?{here} ", p))
    lines = [(g.strip(), h.strip()) for g, h in re.findall(r"^  (.*?) \| (.*)$", part, re.M)]
    shown = browser.value("[...document.querySelectorAll('#unit-code tbody tr')].map(r => [...r.cells].map(c => c.textContent))")
    check("as many lines", len(lines) == len(shown) and lines, (len(lines), len(shown)))
    for (guest, host), (g, h, why) in zip(lines, shown):
        check("the same line", guest == g and re.sub(r" +", " ", host) == re.sub(r" +", " ", f"{h} {why}"), (guest, host, g, h, why))


def here():
    return int(browser.value("document.querySelector('#unit').dataset.ccf"))


def walks(graph):
    """Clicks from unit to unit, and back; `graph` is {ccf: [ccf that it is chained to]}."""
    start = here()
    seen = {start}
    for _ in range(4):
        before = here()
        nodes = browser.value("[...document.querySelectorAll('#unit-graph .node[data-ccf]:not(.focus)')].map(n => +n.dataset.ccf)")
        check("what it is chained to is shown", set(graph[before]) - {before} <= set(nodes), (graph[before], nodes))
        onward = next((n for n in graph[before] if n != before), None) or next((n for n in nodes), None)
        if onward is None:
            break
        browser.click(f"#unit-graph .node[data-ccf='{onward}']:not(.focus)")
        check("clicked through the graph", browser.wait(f"document.querySelector('#unit').dataset.ccf == {onward}"), onward)
        seen.add(here())
        check("the address says so", browser.value("location.hash") == f"#ccf={onward}")
    check("that was a walk", len(seen) > 1, seen)
    browser.value("history.back()")
    check("the way back", browser.wait(f"document.querySelector('#unit').dataset.ccf == {before}"), before)
    browser.value(f"location.hash = '#ccf={start}'")
    browser.wait(f"document.querySelector('#unit').dataset.ccf == {start}")
    link = browser.value("document.querySelector('#unit-code a')?.getAttribute('href')")
    if link:
        browser.click("#unit-code a")
        check("by the reason's link", browser.wait(f"location.hash == '{link}'"))


def uses_table():
    browser.click("#unit-table th[data-sort=host]")
    sizes = [int(numbers(t)) for t in browser.value("[...document.querySelectorAll('#unit-table tbody tr')].map(r => r.cells["
             "[...document.querySelectorAll('#unit-table th')].findIndex(h => h.dataset.sort == 'host')].textContent)")]
    check("sorted by a click", sizes == sorted(sizes, reverse=True) and sizes[0] > sizes[-1], sizes)
    if browser.value("!document.querySelector('#unit-pager button:nth-of-type(4)').disabled"):
        browser.click("#unit-pager button:nth-of-type(4)")
    check("the last page", re.search(r"page (\d+) of \1$", browser.text("#unit-pager span")), browser.text("#unit-pager span"))
    browser.click("#unit-table tbody tr td:nth-child(2)")
    address = browser.text("#unit-table tbody tr td:nth-child(2)")
    check("a row leads to its unit", browser.wait(f"document.querySelector('#unit-title').textContent.endsWith({json.dumps(address)})"))
    browser.value(f"(f => {{ f.value = '0x{address}'; f.dispatchEvent(new Event('input')); }})(document.querySelector('#unit-find'))")
    found = browser.value("[...document.querySelectorAll('#unit-table tbody tr')].map(r => r.cells[1].textContent)")
    check("found by its address", address in found and len(found) < 20, found)
    browser.value("(f => { f.value = ''; f.dispatchEvent(new Event('input')); })(document.querySelector('#unit-find'))")
    browser.value("(s => { s.value = 'user'; s.dispatchEvent(new Event('change')); })(document.querySelector('#unit-filter'))")
    modes = browser.value("[...document.querySelectorAll('#unit-table tbody tr')].map(r => r.textContent)")
    check("only user code", all("user" in t for t in modes), modes[:2])
    browser.value("(s => { s.value = 'all'; s.dispatchEvent(new Event('change')); })(document.querySelector('#unit-filter'))")


def uses_heat_map():
    """Its first row's hottest square: where there is one, the table is narrowed to it."""
    everything = browser.text("#unit-note")
    for k in range(64):
        x = (92 + 12 * k + 6) / (92 + 64 * 12 + 4)
        browser.hover("#heat-map", x, 10 / browser.value("document.querySelector('#heat-map').getBoundingClientRect().height"))
        if "hottest" in (browser.text("#tip") or ""):
            browser.click("#heat-map", x, 10 / browser.value("document.querySelector('#heat-map').getBoundingClientRect().height"))
            break
    check("narrowed to a square", browser.wait("document.querySelector('#unit-range .chip')") and browser.text("#unit-note") != everything)
    browser.click("#unit-range button")
    check("and widened again", browser.text("#unit-note") == everything)


def whole(accel, key, options=()):
    vm = Vm(*options, "-accel", accel, "-name", HOSTILE.replace(",", ""))
    m = vm.monitor()
    check("the guest runs", vm.wait_serial("counted" if options else "hello from ring 3"))
    m.command("tc trace on hidden,fault")
    m.command("stop")
    opened(vm, m, "report.html")
    check("names are text", HOSTILE in browser.text("#machine") and browser.value("window.hacked") is None, browser.text("#machine"))
    listed = rows(m.command("tc list limit=1000000"))
    same_numbers(m, listed, key)
    same_time()
    hottest = same_table(m, key)
    check("the hottest one is shown at first", here() == hottest[0], (here(), hottest))
    same_code(m)
    browser.open(f"file://{vm.path('report.html')}#ccf={hottest[-1]}")
    check("the one that the address names", here() == hottest[-1], here())
    same_code(m)
    browser.open(f"file://{vm.path('report.html')}#ccf=999999999")
    check("one that is not there", "no CCF 999999999" in browser.text("#unit-title"))
    browser.open(f"file://{vm.path('report.html')}")
    graph = {r: [] for r in (int(row[0]) for row in listed)}
    for address in {row[1] for row in listed}:
        for a, b in re.findall(r"c(\d+) -> c(\d+)", m.command(f"tc graph 0x{address}")):
            if int(b) not in graph[int(a)]:
                graph[int(a)].append(int(b))
    walks(graph)
    uses_table()
    uses_heat_map()
    pictures()
    check("still no complaints", not browser.complaints(), browser.complaints())
    check("ends well", vm.end() == 0)


whole("dbt,counts=on", "executions")
whole("dbt", "samples")
whole("dbt,counts=on", "executions", ("-kernel", sys.argv[2]))
browser.close()
check.finish()
