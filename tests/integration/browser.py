"""A headless Chromium by way of chromedriver, with the standard library alone: pages are opened, asked by
JavaScript, pictured; what they wrote to their console and whom they asked for what is kept.

    browser = Browser(folder); browser.open(url); browser.script("return document.title"); browser.close()
"""
import base64
import json
import os
import shutil
import subprocess
import tempfile
import urllib.request

from harness import Output, wait_until

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
# The window has a screen's size; what it needs in a container is --no-sandbox and no /dev/shm.
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
             "--disable-extensions", "--disable-background-networking", "--disable-sync",
             "--disable-component-update", "--no-first-run", "--window-size=1280,1000",
             "--hide-scrollbars", "--force-color-profile=srgb", "--lang=en"]


class Browser:
    def __init__(self, folder):
        self.folder = tempfile.mkdtemp(dir=folder, prefix="browser-")
        self.process = subprocess.Popen([DRIVER, "--port=0"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        env={**os.environ, "HOME": self.folder})
        self.output = Output(self.process.stdout, os.path.join(self.folder, "chromedriver.log"))
        line = self.output.wait_for("started successfully on port")
        self.driver = "http://127.0.0.1:%d" % int(line.rsplit(" ", 1)[1].rstrip("."))
        options = {"binary": CHROMIUM,
                   "args": [*ARGUMENTS, "--user-data-dir=" + os.path.join(self.folder, "profile")]}
        made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}}})
        self.session = "/session/" + made["sessionId"]

    def _ask(self, method, path, body=None):
        request = urllib.request.Request(self.driver + path, method=method,
                                         data=None if body is None else json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError("chromedriver: " + error.read().decode()[:2000]) from None

    def ask(self, path, body):
        return self._ask("POST", self.session + path, body)

    def devtools(self, command, **parameters):
        return self.ask("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, url):
        self.ask("/url", {"url": url})

    def script(self, text, *arguments):
        return self.ask("/execute/sync", {"script": text, "args": list(arguments)})

    def wait(self, what, condition):
        """Until that expression of JavaScript is true."""
        return wait_until(what, lambda: self.script("return " + condition))

    def size(self, width, height):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=1, mobile=width < 600)

    def dark(self, wanted):
        self.devtools("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if wanted else "light"}])

    def picture(self, path):
        """The whole page, as PNG."""
        got = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        with open(path, "wb") as f:
            f.write(base64.b64decode(got["data"]))

    def console(self):
        """What was written since the last call."""
        return ["%(level)s %(message)s" % entry for entry in self.ask("/se/log", {"type": "browser"})]

    def requests(self):
        """The URLs that were asked for since the last call."""
        events = [json.loads(entry["message"])["message"]
                  for entry in self.ask("/se/log", {"type": "performance"})]
        return [event["params"]["request"]["url"] for event in events
                if event["method"] == "Network.requestWillBeSent"]

    def close(self):
        try:
            self._ask("DELETE", self.session)
        finally:
            self.process.terminate()
            self.process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)
