#!/usr/bin/env python3
"""Opens the pages of `--format html` in a headless Chromium: they load nothing and run nothing but their script, filter as
one types, are used by keyboard, say their ways, and pass checks of accessibility in light and dark; hostile keys stay text.

    pages_test.py REMAP [--pictures FOLDER]

Exit code 77: there is no Chromium. axe-core is used as well where Python finds it (pip install axe-core-python)."""

import argparse
import importlib.util
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

import chromium

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DATA = os.path.join(ROOT, "tests", "data")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import checks  # noqa: E402
from checks import check  # noqa: E402

# What needs no library: every control and region has a name, ids are there once, headings do not jump, text has contrast.
ACCESSIBLE = r"""(() => {
  const faults = [];
  const seen = new Set();
  for (const element of document.querySelectorAll('[id]')) {
    if (seen.has(element.id)) faults.push('twice: #' + element.id);
    seen.add(element.id);
  }
  const name = (e) => e.getAttribute('aria-label') || (e.getAttribute('aria-labelledby') &&
    document.getElementById(e.getAttribute('aria-labelledby')).textContent) || (e.labels && e.labels.length && e.labels[0].textContent) ||
    e.textContent;
  for (const e of document.querySelectorAll('button, input, summary, a, [role=region], svg[role=img]'))
    if (!name(e).trim()) faults.push('no name: ' + e.outerHTML.slice(0, 120));
  let level = 0;
  for (const h of document.querySelectorAll('h1, h2, h3')) {
    if (+h.tagName[1] > level + 1) faults.push('a heading jumps: ' + h.textContent);
    level = +h.tagName[1];
  }
  if (document.querySelectorAll('h1').length !== 1 || document.querySelectorAll('main').length !== 1) faults.push('h1 or main');
  if (!document.documentElement.lang || !document.title) faults.push('no language or title');
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const color = (text) => text.match(/[\d.]+/g).map(Number);
  const light = (c) => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const back = (e) => {
    for (; e; e = e.parentElement) {
      const c = color(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const told = new Set();
  for (const e of document.querySelectorAll('body *')) {
    if (!e.offsetParent || e.closest('svg, script') || e.classList.contains('sr')) continue;
    if (!Array.from(e.childNodes).some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
    const pair = [light(color(getComputedStyle(e).color)), light(back(e))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    const what = e.tagName + '.' + e.className;
    if (ratio < 4.5 && !told.has(what)) { told.add(what); faults.push(`contrast ${ratio.toFixed(2)}: ${what}`); }
  }
  return faults;
})()"""


def same(got, wanted, what):
    check(got == wanted, f"{what}: {got!r} is not {wanted!r}")


def axe_source():
    spec = importlib.util.find_spec("axe_core_python")
    path = os.path.join(spec.submodule_search_locations[0], "axe.min.js") if spec else ""
    return open(path, encoding="utf-8").read() if path and os.path.exists(path) else None


def make(remap, path, *words, codes=(0,)):
    ran = subprocess.run([remap, *words, "--format", "html"], capture_output=True, cwd=ROOT, stdin=subprocess.DEVNULL)
    if ran.returncode not in codes:
        sys.exit(f"{words}: exit {ran.returncode}\n{ran.stderr.decode()}")
    with open(path, "wb") as file:
        file.write(ran.stdout)
    return path


def tensors(path, keys, metadata=None, values=None):
    """A safetensors file of one float for each key."""
    header = {"__metadata__": metadata} if metadata else {}
    for i, key in enumerate(keys):
        header[key] = {"dtype": "F32", "shape": [1], "data_offsets": [4 * i, 4 * i + 4]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + struct.pack(f"<{len(keys)}f", *(values or [1] * len(keys))))
    return path


def examine(browser, page, axe, what):
    same(browser.open(page), [], what + " loads alone, and says nothing wrong")
    for scheme in ("light", "dark"):
        browser.media(scheme)
        same(browser.run(ACCESSIBLE), [], f"{what} is accessible ({scheme})")
        if axe:
            browser.run(axe + ";0")
            found = browser.run("axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations.map((v) => "
                                "v.id + ': ' + v.nodes.map((n) => n.html.slice(0, 100)).slice(0, 3).join(' | ')))")
            same(found, [], f"{what} passes axe-core ({scheme})")
    browser.media("light")


HOSTILE = ["</script><script>window.hacked=1</script>", "<img src=x onerror=window.hacked=1>", "\" onmouseover=\"window.hacked=1",
           "a.{0..3}.b", "{{constructor}}", "javascript:window.hacked=1", "x\u202egnp.exe", "\u0001\u001b[31mred", "']]><!--", "a" * 3000,
           ".".join("d" * 2000), "../../etc/passwd", "__proto__.polluted", "&lt;b&gt;"]


def large_pages(remap, at):
    """The other pages of a checkpoint as large as switch-c-2048: small too, if everything in it differs."""
    manifest = "rules/tests/switch/switch-c-2048.json"
    with open(os.path.join(ROOT, "rules/switch.yaml"), encoding="utf-8") as file:
        rules = file.read()
    with open(at("renamed.yaml"), "w", encoding="utf-8") as file:
        file.write(rules.replace("  schema: switch_transformers\n", "").replace("expert_{e}", "e_{e}"))
    keys = [f"{side}.block.{layer}.layer.1.mlp.experts.expert_{e}.{w}.weight"
            for side in ("encoder", "decoder") for layer in range(1, 30, 2) for e in range(2048) for w in ("wi", "wo")]
    chance = random.Random(1)
    a = tensors(at("a.safetensors"), keys)
    b = tensors(at("b.safetensors"), keys, values=[chance.random() for _ in keys])
    words = ["".join(chance.choice("abcdefghijklmnop") for _ in range(12)) for _ in range(5000)]
    c, d = tensors(at("c.safetensors"), words), tensors(at("d.safetensors"), words, values=[chance.random() for _ in words])
    for name, made_by, code in (("inspect", ["inspect", manifest], 0),
                                ("diff", ["diff", "rules/switch.yaml", at("renamed.yaml"), "--source", manifest], 1),
                                ("compare", ["compare", a, b], 1), ("compare-words", ["compare", c, d], 1)):
        page = make(remap, at(f"large-{name}.html"), *made_by, codes=(code,))
        check(os.path.getsize(page) < 2_000_000, f"the {name} of switch-c-2048 has {os.path.getsize(page)} bytes")
    with open(page, encoding="utf-8") as file:
        check("and 4000 more" in file.read(), "what is left out is counted")


def pages(remap, browser, folder, axe, pictures):
    at = lambda name: os.path.join(folder, name)
    plan = make(remap, at("plan.html"), "plan", "--rules", "switch", "rules/tests/switch/switch-c-2048.json")
    check(os.path.getsize(plan) < 2_000_000, f"the plan of switch-c-2048 has {os.path.getsize(plan)} bytes")
    examine(browser, plan, axe, "plan")
    n_leaves = browser.run("document.querySelectorAll('#target ~ .tree .leaf').length")
    check(n_leaves > 30, f"{n_leaves} lines of targets")
    # Filter as one types, and back.
    browser.run("document.getElementById('filter').focus()")
    loading = browser.run("performance.getEntriesByType('navigation')[0].loadEventEnd")
    took = browser.run("""(() => { const i = document.getElementById('filter'); i.value = 'expert'; const t = performance.now();
      i.dispatchEvent(new Event('input'));
      return new Promise((d) => requestAnimationFrame(() => requestAnimationFrame(() => d(performance.now() - t)))); })()""")
    check(took < 5 * loading + 50, f"filtering takes {took} ms, loading the page {loading} ms")
    shown = "Array.from(document.querySelectorAll('.leaf')).filter((l) => l.offsetParent).length"
    n_shown = browser.run(shown)
    check(0 < n_shown < n_leaves, f"'expert' leaves {n_shown} lines")
    check("lines" in browser.run("document.getElementById('count').textContent"), "the count is said")
    browser.key("Escape")
    same(browser.run("document.getElementById('filter').value"), "", "Escape empties the filter")
    check(browser.run(shown) > n_shown, "all lines are back")
    # By keyboard: from the filter into the tree, down, open, and the way of what has the focus is said.
    browser.run("document.querySelector('#target ~ .tree summary').focus()")
    browser.key("ArrowLeft")
    browser.run("document.querySelector('#target ~ .tree summary').focus()")
    browser.run("document.querySelector('#target ~ .tree details').open = false")
    browser.key("ArrowRight")
    check(browser.run("document.activeElement.parentElement.open"), "right opens a branch")
    for _ in range(40):
        browser.key("ArrowDown")
        if browser.run("document.activeElement.tagName") == "BUTTON":
            break
        browser.key("ArrowRight")
    way = browser.run("document.getElementById('way').innerText")
    check("target" in way and "rules/switch.yaml:" in way and "steps" in way and "captures" in way, f"the way is said: {way!r}")
    check(browser.run("document.querySelectorAll('#source ~ .tree .near').length") > 0, "the other side is marked")
    browser.key("Enter")
    check(browser.run("Array.from(document.querySelectorAll('#source ~ .tree .near')).some((l) => l.offsetParent)"),
          "Enter shows the other side")
    large_pages(remap, at)
    if pictures:
        os.makedirs(pictures, exist_ok=True)
        browser.size(1280, 820)
        for scheme in ("light", "dark"):
            browser.media(scheme)
            browser.run("window.scrollTo(0, 0)")
            browser.picture(os.path.join(pictures, f"plan-{scheme}.png"))
        browser.media("light", "print")
        browser.picture(os.path.join(pictures, "plan-print.png"))
        browser.media("light")

    inspect = make(remap, at("inspect.html"), "inspect", os.path.join(DATA, "roberta/source/model.2019.pt"))
    examine(browser, inspect, axe, "inspect")
    check(browser.run("document.querySelectorAll('.treemap rect').length") > 10, "the map has rectangles")
    verified = at("roberta")
    subprocess.run([remap, os.path.join(DATA, "roberta/source/model.2019.pt"), "-o", verified, "-q"], check=True)
    other = at("other")
    subprocess.run([remap, os.path.join(DATA, "roberta/source/model.2019.pt"), "-o", other, "-q"], check=True)
    # One value of a layer norm is changed: the forward passes diverge in the first layer.
    path = os.path.join(other, "model.safetensors")
    with open(path, "r+b") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
        key = next(k for k in sorted(header) if k.endswith("layer.0.output.LayerNorm.weight"))
        file.seek(8 + size + header[key]["data_offsets"][0])
        file.write(struct.pack("<f", 3.0))
    agree = make(remap, at("verify.html"), "verify", os.path.join(DATA, "roberta/source/model.2019.pt"), "--target", verified)
    examine(browser, agree, axe, "verify")
    differ = make(remap, at("verify-differs.html"), "verify", os.path.join(DATA, "roberta/source/model.2019.pt"), "--target",
                  other, codes=(1,))
    examine(browser, differ, axe, "verify of two that differ")
    same(browser.run("document.querySelectorAll('td.first').length"), 1, "the first divergence is marked")
    check("diverge" in browser.run("document.body.innerText"), "it is said in words")
    compare = make(remap, at("compare.html"), "compare", verified, other, codes=(1,))
    examine(browser, compare, axe, "compare")
    same(browser.run("document.querySelectorAll('tr.leaf').length"), 1, "one tensor differs")
    toy = "remap: 1\nfamily: toy\nsource: {format: torch}\nrules:\n  - {from: 'layers.*.fc', to: 'layer.*.dense', shape: [rows, cols]%s}\n%s"
    for name, text in (("old", toy % ("", "  - {from: norm, to: norm}\n")),
                       ("new", toy % (", transpose: true", "  - {from: norm, to: layer_norm}\n"))):
        with open(at(name + ".yaml"), "w", encoding="utf-8") as file:
            file.write(text)
    with open(at("toy.tsv"), "w", encoding="utf-8") as file:
        file.write("".join(f"layers.{i}.fc F32 [4,8]\n" for i in range(12)) + "norm F32 [8]\n")
    diff = make(remap, at("diff.html"), "diff", at("old.yaml"), at("new.yaml"), "--source", at("toy.tsv"), codes=(1,))
    examine(browser, diff, axe, "diff")
    same(browser.run("['added', 'removed', 'changed'].map((c) => document.querySelectorAll('tr.' + c).length)"), [1, 1, 1],
         "what is added, removed and made otherwise, folded")
    check(browser.run("document.querySelector('tr.changed').innerText").find("×12") > 0, "twelve layers are one line")
    if pictures:
        for name in ("inspect", "verify-differs", "compare", "diff"):
            browser.open(at(name + ".html"))
            for scheme in ("light", "dark"):
                browser.media(scheme)
                browser.picture(os.path.join(pictures, f"{name}-{scheme}.png"))
        browser.media("light")

    # Keys and metadata of a checkpoint that means harm are text.
    hostile = tensors(at("hostile.safetensors"), HOSTILE, {"note": HOSTILE[0], HOSTILE[1]: HOSTILE[2]})
    rules = at("rules.yaml")
    with open(rules, "w", encoding="utf-8") as file:
        file.write("remap: 1\nfamily: any\nsource: {format: safetensors}\nrules:\n  - {from: '**', to: 'x.**'}\n")
    for name, words in (("inspect", ["inspect", hostile]), ("plan", ["plan", "--rules", rules, hostile]),
                        ("compare", ["compare", hostile, tensors(at("few.safetensors"), HOSTILE[3:4])])):
        page = make(remap, at(f"hostile-{name}.html"), *words, codes=(0, 1))
        same(browser.open(page), [], f"{name} of hostile keys loads alone")
        same(browser.run("typeof window.hacked + document.images.length + document.scripts.length"),
             "undefined0" + ("2" if name == "plan" else "1"), f"{name} of hostile keys runs nothing of them")
        check(HOSTILE[0] in browser.run("document.body.textContent"), f"{name} shows a hostile key as it is")
        check("\u202e" not in browser.run("document.body.innerText"), f"{name} turns no text around")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("remap", type=os.path.abspath)
    parser.add_argument("--pictures", type=os.path.abspath)
    options = parser.parse_args()
    program = chromium.find()
    if program is None:
        print("skipped: there is no Chromium (apt-get install chromium)")
        sys.exit(77)
    axe = axe_source()
    print("axe-core:", "used" if axe else "not there (pip install axe-core-python)")
    browser = chromium.Browser(program)
    try:
        with tempfile.TemporaryDirectory() as folder:
            browser.size(1400, 900)
            pages(options.remap, browser, folder, axe, options.pictures)
    finally:
        browser.close()
    print(f"{checks.N_CHECKS - len(checks.FAULTS)} checks passed, {len(checks.FAULTS)} failed")
    sys.exit(1 if checks.FAULTS else 0)


main()
