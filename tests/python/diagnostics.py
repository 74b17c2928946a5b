#!/usr/bin/env python3
"""docs/diagnostics.md, which `remap explain ID` prints from: a section for each row of diagnostic_table(), with an example that
the cases hold (tests/cases, tests/lint) and its mend.

    diagnostics.py REMAP             is the page complete, and does the program print the same?
    diagnostics.py --update          writes what is generated: purposes, examples; what stands under "Mend" is kept

A new row without an example in the cases, or without a mend, is an error: write the case; write the mend into the page."""

import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = os.path.join(ROOT, "docs", "diagnostics.md")
HEAD = """# What remap reports, and what to do

Every message has a class in brackets, `error[plan-unmatched-key]`. This page has a section on each; `remap explain ID` prints one, and
needs no network. The examples are what the program prints in its own tests.
"""


def rows():
    with open(os.path.join(ROOT, "engine/base/diagnostic_table.cpp"), encoding="utf-8") as file:
        found = re.findall(r'\{"([a-z0-9-]+)",\s*(error|warning|note),\s*((?:"[^"]*"\s*)+)', file.read())
    return [(name, severity, "".join(re.findall(r'"([^"]*)"', text))) for name, severity, text in found]


def examples():
    """By class: the shortest report of it that shows where it is, and its command."""
    found = {}
    for path in sorted(glob.glob(os.path.join(ROOT, "tests/cases/*.case")) + glob.glob(os.path.join(ROOT, "tests/lint/*.case"))):
        command, block = "", None
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file.read().split("\n"):
                start = re.search(r"(?:error|warning|note)\[([a-z0-9-]+)\]: ", line)
                if line.startswith("=== run: "):
                    command, block = line[len("=== run: "):], None
                elif line.startswith(("=== ", "--- ")):
                    block = None
                elif start:
                    block = [line]
                    found.setdefault(start[1], []).append((command, block))
                elif block is not None and line.startswith(" "):
                    block.append(line)
                else:
                    block = None
    best = {}
    for name, blocks in found.items():
        # One with a hint or a place in the text, on a line that can be read; of these the shortest.
        command, block = min(blocks, key=lambda one: (max(map(len, one[1])) > 118, len(one[1]) == 1, sum(map(len, one[1]))))
        best[name] = "\n".join(line.rstrip() for line in block[:14])
    return best


def hint_of(example):
    for line in example.split("\n"):
        told = re.match(r"\s+hint: (.*)", line) or re.match(r"\s+\|\s+\^~*\s+(.*)", line)
        if told:
            return told[1]
    return ""


def kept():
    """What stands under each headline now: its mend, and its story where there is no example."""
    if not os.path.exists(PAGE):
        return {}
    with open(PAGE, encoding="utf-8") as file:
        parts = re.split(r"^## ", file.read(), flags=re.M)[1:]
    sections = {}
    for part in parts:
        name, _, body = part.partition("\n")
        mend = re.search(r"^Mend: (.*?)\n*\Z", body, flags=re.M | re.S)
        story = re.search(r"^Example: (.*?)\n\nMend:", body, flags=re.M | re.S)
        sections[name] = (story[1] if story else "", mend[1] if mend else "")
    return sections


def generated():
    known, shown, faults = kept(), examples(), []
    text = HEAD
    for name, severity, purpose in rows():
        story, mend = known.get(name, ("", ""))
        mend = mend or hint_of(shown.get(name, ""))
        text += f"\n## {name}\n\n{severity.capitalize()}. {purpose}\n\n"
        if name in shown:
            text += f"```text\n{shown[name]}\n```\n\n"
        elif story:
            text += f"Example: {story}\n\n"
        else:
            faults.append(f"'{name}' has no example: write a case, or 'Example: ...' into docs/diagnostics.md")
        if not mend:
            faults.append(f"'{name}' has no mend: write 'Mend: ...' into docs/diagnostics.md")
        text += f"Mend: {mend}\n"
    return text, faults


def main():
    text, faults = generated()
    if sys.argv[1:] == ["--update"]:
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        with open(PAGE, encoding="utf-8") as file:
            if file.read() != text:
                faults.append("docs/diagnostics.md is not what is generated: run tests/python/diagnostics.py --update")
        for section in re.split(r"^(?=## )", text, flags=re.M)[1:]:
            name = section[3:section.index("\n")]
            ran = subprocess.run([sys.argv[1], "explain", name], capture_output=True, text=True)
            if ran.returncode != 0 or ran.stdout.strip() != section.strip():
                faults.append(f"'remap explain {name}' prints another page")
    for fault in faults:
        print(fault)
    print(f"{len(rows())} classes, {len(faults)} faults")
    sys.exit(1 if faults else 0)


main()
