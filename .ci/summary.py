#!/usr/bin/env python3
"""Sums the test cases in the JUnit files of ctest: prints the failures, then "N passed, N failed" on one line.

A test program written with Catch2 (2 or 3) counts as its test cases, any other as one. A program that fails without
saying how many of its cases did (a crash, a leak found at its end, a time-out) counts as one failure more.
Exit 0: something ran and nothing failed.
"""
import re
import sys
import xml.etree.ElementTree as xml

ALL_PASSED = re.compile(r"^All tests passed \(.* in (\d+) test cases?\)", re.M)
SOME_FAILED = re.compile(r"^test cases: .*$", re.M)


def cases(text):
    """(passed, failed) from the last summary that Catch2 printed, or None."""
    if found := ALL_PASSED.findall(text):
        return int(found[-1]), 0
    if found := SOME_FAILED.findall(text):
        count = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed(?: as expected)?)(?= *(?:\||$))", found[-1])}
        return count.get("passed", 0) + count.get("failed as expected", 0), count.get("failed", 0)
    return None


def main(files):
    passed = failed = 0
    for file in files:
        try:
            tests = list(xml.parse(file).getroot().iter("testcase"))
        except (OSError, xml.ParseError) as error:
            print(f"{file}: {error}")
            failed += 1
            continue
        for test in tests:
            status = test.get("status")
            if status == "disabled" or (status == "notrun" and "SKIP" in (test.find("skipped").get("message") or "").upper()):
                continue
            ok = status == "run"
            counted = cases(test.findtext("system-out") or "")
            good, bad = counted or (int(ok), 0)
            if not ok:
                bad = max(bad, 1)
                print(f"{file}: {test.get('name')} failed")
            passed += good
            failed += bad
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
