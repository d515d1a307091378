"""Headless Chromium by its DevTools protocol over a pipe: pages are opened, read, and clicked at as a person would."""
import atexit
import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TIMEOUT = 60


def find():
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def or_skip():
    """The browser's path. Without one the test is skipped, but for continuous integration, which has to have it."""
    path = find()
    if path:
        return path
    print("no Chromium: install the Debian package chromium")
    sys.exit(1 if os.environ.get("CI") == "true" else 77)


class Browser:
    def __init__(self, path, width=1280, height=900):
        self.profile = tempfile.mkdtemp()
        to_browser, self.out = os.pipe()
        self.input, from_browser = os.pipe()
        # numbers above those that they must have in the browser: 3 and 4
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (to_browser, from_browser)]

        def arrange():
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        # what it keeps outside its profile would stay behind
        places = ("TMPDIR", "HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
        for place in places:
            os.mkdir(os.path.join(self.profile, place))
        self.process = subprocess.Popen(
            [path, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--disable-dev-shm-usage",
             "--remote-debugging-pipe", f"--user-data-dir={self.profile}", f"--window-size={width},{height}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=arrange, close_fds=False,
            start_new_session=True, env=os.environ | {place: os.path.join(self.profile, place) for place in places})
        for fd in (to_browser, from_browser, *ends):
            os.close(fd)
        self.closed = False
        atexit.register(self.close)
        self.buffer = b""
        self.last = 0
        self.session = None
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def receive(self):
        while b"\0" not in self.buffer:
            if not select.select([self.input], [], [], TIMEOUT)[0]:
                raise TimeoutError("the browser says nothing")
            data = os.read(self.input, 1 << 20)
            if not data:
                raise EOFError("the browser has ended")
            self.buffer += data
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def call(self, method, **params):
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, url):
        """Until it has loaded, its scripts included."""
        self.call("Page.setLifecycleEventsEnabled", enabled=True)
        self.load("about:blank")  # else another fragment of the same page would not load it
        self.events.clear()
        self.load(url)

    def load(self, url):
        loader = self.call("Page.navigate", url=url)["loaderId"]
        while not any(e.get("method") == "Page.lifecycleEvent" and e["params"]["loaderId"] == loader and e["params"]["name"] == "load"
                      for e in self.events):
            self.events.append(self.receive())

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def text(self, selector):
        return self.value(f"document.querySelector({json.dumps(selector)})?.textContent")

    def wait(self, expression, seconds=TIMEOUT):
        """Until it is true."""
        deadline = time.time() + seconds
        while not self.value(f"!!({expression})"):
            if time.time() > deadline:
                return False
            time.sleep(0.02)
        return True

    def place(self, selector, x, y):
        """Scrolled to and drawn there: the mouse hits what is on the screen."""
        box = self.value(f"(e => {{ e.scrollIntoView({{block: 'center', behavior: 'instant'}});"
                         "return new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => {"
                         "const b = e.getBoundingClientRect(); r([b.x, b.y, b.width, b.height]); })));"
                         f"}})(document.querySelector({json.dumps(selector)}))")
        return {"x": box[0] + x * box[2], "y": box[1] + y * box[3]}

    def click(self, selector, x=0.5, y=0.5):
        """
        With the mouse, at this part of the element's width and height, until the page has had it: a page that has only just been
        drawn takes no input, and input that comes by way of the screen may lag behind the scrolling.
        """
        for _ in range(10):
            at = self.place(selector, x, y)
            self.value("document.removeEventListener('click', window.onhit, true)")
            self.value(f"(e => {{ window.hit = 0; window.onhit = c => {{ window.hit = e.contains(c.target) ? 1 : 2;"
                       f"if (hit == 2) c.stopPropagation(); }};"
                       f"document.addEventListener('click', onhit, {{capture: true, once: true}}); }})"
                       f"(document.querySelector({json.dumps(selector)}))")
            for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
                self.call("Input.dispatchMouseEvent", type=kind, button="none" if kind == "mouseMoved" else "left", clickCount=1, **at)
            if self.wait("window.hit", 2) and self.value("window.hit") == 1:
                return
        raise RuntimeError(f"{selector} cannot be clicked at")

    def hover(self, selector, x=0.5, y=0.5):
        self.call("Input.dispatchMouseEvent", type="mouseMoved", **self.place(selector, x, y))

    def dark(self, on):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if on else "light"}])

    def screenshot(self, path):
        """What is on the screen into a file; how many colours it has."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))
        return self.value("new Promise((done, failed) => { const i = new Image(); i.onerror = failed; i.onload = () => {"
                          "const c = document.createElement('canvas').getContext('2d'), s = new Set();"
                          "c.canvas.width = i.width; c.canvas.height = i.height; c.drawImage(i, 0, 0);"
                          "const d = c.getImageData(0, 0, i.width, i.height).data;"
                          "for (let k = 0; k < d.length; k += 4) s.add(d[k] << 16 | d[k + 1] << 8 | d[k + 2]);"
                          f"done(s.size); }}; i.src = 'data:image/png;base64,{data}'; }})")

    def complaints(self):
        """What its console said, scripts that failed, and what it asked for from elsewhere."""
        found = []
        for e in self.events:
            p = e.get("params", {})
            if e.get("method") == "Runtime.exceptionThrown":
                found.append(p["exceptionDetails"].get("exception", {}).get("description", p["exceptionDetails"]["text"]))
            elif e.get("method") == "Runtime.consoleAPICalled":
                found.append(f"console.{p['type']}: {p['args']}")
            elif e.get("method") == "Log.entryAdded":
                found.append(f"{p['entry']['level']}: {p['entry']['text']}")
            elif e.get("method") == "Network.requestWillBeSent" and not p["request"]["url"].startswith(("file:", "data:", "about:")):
                found.append(f"request for {p['request']['url']}")
        return found

    def close(self):
        """It is asked first: only so does it take its own temporary files along. Its children end with it in any case."""
        if self.closed:
            return
        self.closed = True
        self.session = None
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except (OSError, EOFError, TimeoutError, RuntimeError, subprocess.TimeoutExpired):
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.out)
        os.close(self.input)
        shutil.rmtree(self.profile, ignore_errors=True)
