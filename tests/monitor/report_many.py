#!/usr/bin/env python3
"""A report of 100,000 CCFs: soon written, not too large, quick to look at.   report_many.py RINGFENCE KERNEL"""
import os
import re
import sys
import time

from browser import Browser, or_skip
from harness import Checks, Vm

check = Checks()
browser = Browser(or_skip())
vm = Vm("-kernel", sys.argv[2], "-accel", "dbt,counts=on")
m = vm.monitor()
check("the guest is through", vm.wait_serial("x"))
text = m.command(f"tc report {vm.path('many.html')}")
said = re.match(r"(\d+) CCFs, code of the hottest 200; the guest waited (\d+\.\d) ms", text)
check("written", said, text)
count = int(said.group(1)) if said else 0
check("of so many", count > 100000, text)
size = os.path.getsize(vm.path("many.html"))
check("not too large", size < 20 << 20, size)

begin = time.time()
browser.open(f"file://{vm.path('many.html')}")
load = time.time() - begin
check("ready", browser.value("document.body.dataset.ready") == "yes")
check("all of them", browser.value("+document.querySelector('#tile-ccfs').dataset.value") == count)
total = browser.value("+document.querySelector('#tile-executions').dataset.value")
check("executed three times each", 300000 <= total < 300100, total)
check("in pages", browser.value("document.querySelectorAll('#unit-table tbody tr').length") == 20)
check("the document is small", browser.value("document.querySelectorAll('*').length") < 5000)
check("says what is not there", "200" in browser.text("#unit-note"))

begin = time.time()
browser.click("#unit-table th[data-sort=gpa]")
check("sorted", browser.wait("document.querySelector('#unit-table th.sorted').dataset.sort == 'gpa'"))
browser.click("#unit-pager button:nth-of-type(4)")
browser.click("#unit-pager button:nth-of-type(2)")
wanted = browser.value("document.querySelector('#unit-table tbody tr').dataset.ccf")
browser.click("#unit-table tbody tr")
check("the row's unit", browser.wait(f"document.querySelector('#unit').dataset.ccf == {wanted}"))
here = browser.value("document.querySelector('#unit').dataset.ccf")
check("a unit of the last page but one", here and "not on this page" in browser.text("#unit-code-note"), browser.text("#unit-code-note"))
browser.click("#unit-graph .node[data-ccf]:not(.focus)")
check("and on from it", browser.wait(f"document.querySelector('#unit').dataset.ccf != {here}"))
looked = time.time() - begin
check("no complaints", not browser.complaints(), browser.complaints())
print(f"{count} CCFs: {text.strip()}; {size >> 10} KiB, opened in {load:.2f} s, looked at in {looked:.2f} s")
browser.close()
check("ends well", vm.end() == 0)
check.finish()
