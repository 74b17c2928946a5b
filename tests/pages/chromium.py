"""A headless Chromium, driven over a pipe (the DevTools protocol); nothing but Python's own library."""

import base64
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile


def find():
    """The program, or None."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


class Browser:
    def __init__(self, program):
        self.folder = tempfile.mkdtemp(prefix="remap-chromium-")
        to_browser, self.write_end = os.pipe()
        self.read_end, from_browser = os.pipe()

        def place_pipes():  # the protocol's are 3 and 4
            kept = [os.dup(to_browser), os.dup(from_browser)]
            os.dup2(kept[0], 3), os.dup2(kept[1], 4)

        words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                 "--remote-debugging-pipe", f"--user-data-dir={self.folder}", "--window-size=1400,900", "about:blank"]
        self.process = subprocess.Popen([program, *words], pass_fds=(3, 4, to_browser, from_browser), close_fds=True,
                                        preexec_fn=place_pipes, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        os.close(to_browser), os.close(from_browser)
        self.buffer, self.number, self.events = b"", 0, []
        page = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def receive(self):
        while b"\0" not in self.buffer:
            if not select.select([self.read_end], [], [], 300)[0]:
                raise RuntimeError("the browser says nothing")
            got = os.read(self.read_end, 1 << 20)
            if not got:
                raise RuntimeError("the browser has ended")
            self.buffer += got
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if getattr(self, "session", None):
            message["sessionId"] = self.session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, path):
        """Loads the file and returns what went wrong: exceptions, messages of the console, requests but for itself."""
        self.events = []
        address = pathlib.Path(path).absolute().as_uri()
        answer = self.call("Page.navigate", url=address)
        if answer.get("errorText"):
            raise RuntimeError(f"{path} does not load: {answer['errorText']}")
        named = False  # the page before may say late that it has loaded
        for event in self.events_to_come():
            method, params = event.get("method"), event.get("params", {})
            named = named or method == "Page.frameNavigated" and params["frame"]["url"] == address
            if named and method == "Page.loadEventFired":
                break
        return self.wrong(address)

    def events_to_come(self):
        """Those that came with the last answer, then the next ones."""
        yield from list(self.events)
        while True:
            self.events.append(self.receive())
            yield self.events[-1]

    def wrong(self, address=""):
        faults = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                faults.append(params["exceptionDetails"].get("exception", {}).get("description", "exception"))
            elif method in ("Log.entryAdded", "Runtime.consoleAPICalled", "Page.javascriptDialogOpening"):
                faults.append(json.dumps(params)[:300])
            elif method == "Network.requestWillBeSent" and params["request"]["url"].split("#")[0] != address:
                faults.append("asks for " + params["request"]["url"][:200])
        return faults

    def run(self, script):
        """The value of an expression, promises awaited."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"].get("exception", {}).get("description", str(result)))
        return result["result"].get("value")

    def key(self, name, text=""):
        codes = {"Tab": 9, "Enter": 13, "ArrowDown": 40, "ArrowUp": 38, "ArrowRight": 39, "ArrowLeft": 37, "Escape": 27}
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text or ("\r" if name == "Enter" else "")} if kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=name, windowsVirtualKeyCode=codes.get(name, 0), **extra)

    def type(self, text):
        self.call("Input.insertText", text=text)
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def media(self, scheme="light", media=""):
        self.call("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def picture(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def close(self):
        try:
            self.session = None
            self.call("Browser.close")
        except (RuntimeError, OSError):
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        os.close(self.write_end), os.close(self.read_end)
        shutil.rmtree(self.folder, ignore_errors=True)
