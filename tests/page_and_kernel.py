"""The inspector's page in Chromium, its kernel in this process: what JupyterLab does between the two is done by a few lines here.

What needs JupyterLab itself is in test_browser.py.
"""

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from avesound.viewer.page import page_module, page_style
from avesound.viewer.serve import local_address

CHROMIUM = next(filter(None, [os.environ.get("AVESOUND_CHROMIUM"), shutil.which("chromium"), shutil.which("chromium-browser")]), None)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
# A loaded machine is slow, and no test fails for that; yet shorter than the limit of pytest.ini, so that what never came is said.
PATIENCE = int(os.environ.get("AVESOUND_PATIENCE_MS", 120_000))

PAGE = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<style>body { margin: 0 } STYLE</style><div id="outside" tabindex="0">outside</div><div id="at"></div>
<script>
window.made = 0; // elements so far
for (const name of ["createElement", "createElementNS"]) {
  const make = document[name].bind(document);
  document[name] = (...words) => { window.made += 1; return make(...words); };
}
</script>
<script type="module">
import page from "MODULE";
const state = JSON.parse(await kernel("{}")), acts = {};
let pending = {};
const tell = (names) => names.forEach((name) => [...(acts[`change:${name}`] ?? [])].forEach((act) => act()));
function arrive(answer) {
  const { messages = [], ...news } = JSON.parse(answer);
  const changed = Object.keys(news).filter((name) => JSON.stringify(news[name]) !== JSON.stringify(state[name]));
  Object.assign(state, news);
  tell(changed);
  messages.forEach((message) => (acts["msg:custom"] ?? []).forEach((act) => act(message)));
}
const ask = async (message) => { window.waiting += 1; arrive(await kernel(JSON.stringify(message))); window.waiting -= 1; };
window.waiting = 0;
window.model = {
  get: (name) => state[name],
  set: (name, value) => { state[name] = pending[name] = value; tell([name]); },
  save_changes: () => { const set = pending; pending = {}; ask({ set }); },
  send: (wish) => ask({ wish }),
  on: (name, act) => (acts[name] ??= []).push(act),
  off: (name, act) => { acts[name] = (acts[name] ?? []).filter((other) => other !== act); },
};
window.reached = [];
window.addEventListener("keydown", (event) => window.reached.push(event.key));
page.render({ model: window.model, el: document.getElementById("at") });
window.ready = true;
</script>"""


@contextlib.contextmanager
def shown(inspector, browser, width=1280, height=900, apart="", **more):
    """A page with the inspector in it; `complaints` are what its console said.

    `apart` is a rule (Content-Security-Policy) for a page that comes from elsewhere and reaches no file here.
    """
    synced = [name for name, trait in type(inspector).class_traits().items() if trait.metadata.get("sync") and not name.startswith("_")]
    synced = [name for name in synced if name not in ("layout", "tabbable", "tooltip", "comm")]
    changed: set[str] = set()
    messages: list[dict] = []
    inspector.send = lambda content, buffers=None: messages.append(content)
    inspector.observe(lambda change: changed.add(change["name"]), synced)

    def kernel(message: str) -> str:
        wanted = json.loads(message)
        if not wanted:
            return json.dumps({name: getattr(inspector, name) for name in synced})
        changed.clear()
        messages.clear()
        for name, value in wanted.get("set", {}).items():
            setattr(inspector, name, value)
        if "wish" in wanted:
            inspector.act(wanted["wish"])
        news = {name: getattr(inspector, name) for name in [*changed, *wanted.get("set", {})]}
        return json.dumps({**news, "messages": messages}, allow_nan=False)

    page = browser.new_page(viewport={"width": width, "height": height}, **more)
    page.set_default_timeout(PATIENCE)
    page.complaints = []
    icon = "/favicon.ico"  # which some versions of playwright let the browser ask for
    page.on(
        "console",
        lambda said: page.complaints.append(said.text) if said.type == "error" and not said.location["url"].endswith(icon) else None,
    )
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.route("**/favicon.ico", lambda route: route.fulfill(body=""))
    page.expose_function("kernel", kernel)
    with tempfile.TemporaryDirectory() as folder:
        module, html = Path(folder, "page.js"), Path(folder, "page.html")
        module.write_text(page_module(), encoding="utf-8")
        html.write_text(PAGE.replace("MODULE", local_address(module)[1]).replace("STYLE", page_style()), encoding="utf-8")
        port, address = local_address(html)
        if apart:
            page.route(
                "http://elsewhere.test/",
                lambda route: route.fulfill(path=html, headers={"Content-Security-Policy": apart}, content_type="text/html"),
            )
            page.route("http://elsewhere.test/**/page.js", lambda route: route.fulfill(path=module))
        page.goto("http://elsewhere.test/" if apart else f"http://127.0.0.1:{port}{address}")
        page.wait_for_function("window.ready && !window.waiting && document.querySelector('.inspector .timeline svg')")
        yield page
        page.close()


def settled(page, condition="true"):
    "Wait until the kernel has answered all, and a condition on `video` holds."
    page.wait_for_function(
        f"(() => {{ const video = document.querySelector('.inspector video'); return !window.waiting && ({condition}); }})()"
    )
