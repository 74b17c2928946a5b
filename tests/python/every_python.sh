#!/usr/bin/env bash
# tests/python/every_python.sh WHEEL: installs the wheel into a fresh environment of every Python from 3.9 on that is here
# (on the PATH, of pyenv), and runs the module's tests there. Last line: "N passed, N failed".
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
wheel=$(realpath "${1:?the wheel}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
declare -A seen
for python in $(compgen -c python3 | grep -E '^python3(\.[0-9]+)?$' | sort -u | xargs -r -n 1 which -a) "${PYENV_ROOT-$HOME/.pyenv}"/versions/*/bin/python3; do
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2] if sys.version_info >= (3, 9) else "")' 2>/dev/null)
  [ -n "$version" ] && [ -z "${seen[$version]-}" ] || continue
  "$python" -m venv "$work/$version" >/dev/null 2>&1 || { echo "skipped: Python $version makes no environment"; continue; }
  seen[$version]=1
  if "$work/$version/bin/pip" install -q --no-index --disable-pip-version-check "$wheel" &&
    "$work/$version/bin/remap" --version &&
    (cd "$work" && REMAP_TEST_DATA=$root/tests/data "$work/$version/bin/python" "$root/tests/python/test_remap.py") >"$work/log" 2>&1 &&
    [ "$(head -c 4 "$work/$version/bin/remap" | tail -c 3)" = ELF ]; then
    passed=$((passed + 1)); echo "ok: Python $version: $(sed -n 's/^Ran /ran /p' "$work/log")"
  else
    failed=$((failed + 1)); echo "FAILED: Python $version"; tail -n 20 "$work/log"
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
