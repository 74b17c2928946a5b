#!/usr/bin/env bash
# tests/dist/chroots.sh PROGRAM [WHEEL]: shows that the static program needs nothing: it runs in an empty folder, where not
# even a C library is, and in bare Debian 11, 12 and 13. With a wheel, also the way of someone who has only Python:
# two commands, under a minute, no compiler. Last line: "N passed, N failed, N skipped".
#
# Needs root; for the Debians mmdebstrap and a package mirror ($MIRROR, or apt's): without them they are skipped, with a
# word. SUITES says which (default: bullseye bookworm trixie). CHROOTS is where they are kept for the next run.
# Exit code 77: nothing could be tried.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$(realpath "${1-}") && [ -x "$program" ] || { echo "usage: chroots.sh PROGRAM [WHEEL]" >&2; exit 2; }
wheel=${2-}
suites=${SUITES-bullseye bookworm trixie}
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
passed=0 failed=0 skipped=0
ok() { passed=$((passed + 1)); echo "ok: $1"; }
no() { failed=$((failed + 1)); echo "FAILED: $1"; }
skip() { skipped=$((skipped + 1)); echo "skipped: $1"; }
closing() { echo "$passed passed, $failed failed, $skipped skipped"; }

[ "$(id -u)" = 0 ] || { skip "chroot takes root"; closing; exit 77; }

if readelf -dl "$program" | grep -qE 'NEEDED|INTERP'; then no "the program names other files"; else ok "the program names no other file"; fi

# What is done in every chroot: convert a checkpoint bit for bit as expected, and look at it.
data=$root/tests/data/switch
convert_in() {  # FOLDER NAME
  mkdir -p "$1/in" "$1/tmp" && cp "$program" "$1/remap" && cp -rL "$data/source/." "$1/in/" && cp -rL "$data/expected" "$1/expected"
  rm -rf --one-file-system "$1/out"
  chroot "$1" /remap in/checkpoint_1200 -o out -q && chroot "$1" /remap compare out expected >"$work/said" &&
    chroot "$1" /remap verify in/checkpoint_1200 --target out >/dev/null &&
    chroot "$1" /remap plan in/checkpoint_1200 --format html >"$work/page.html" && [ -s "$work/page.html" ] &&
    ok "$2: converted, verified, $(tail -n 1 "$work/said")" || no "$2"
  rm -rf --one-file-system "$1/out" "$1/in" "$1/expected" "$1/remap"
}

mkdir "$work/empty"
convert_in "$work/empty" "an empty folder"

# Starts in at most ten times what a program takes that does nothing: medians of 21, in turn.
started=$(python3 - "$program" <<'P'
import subprocess, sys, time
times = {"/bin/true": [], sys.argv[1]: []}
for _ in range(21):
    for program, taken in times.items():
        began = time.perf_counter()
        subprocess.run([program, "--version"], stdout=subprocess.DEVNULL, check=True)
        taken.append(time.perf_counter() - began)
least, median = (sorted(taken)[10] * 1000 for taken in times.values())
print(f"starts in {median:.1f} ms, /bin/true in {least:.1f} ms")
sys.exit(median > 10 * least)
P
) && ok "$started" || no "${started:-it cannot be timed}"

mirror=${MIRROR-$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Identifier: Packages' 2>/dev/null | sed -n 's/^Debian //p' | sort -u | sed -n 1p)}
kept=${CHROOTS-$work/chroots}
make_chroot() {  # SUITE FOLDER PACKAGES…
  [ -e "$2/etc/debian_version" ] && return
  rm -rf --one-file-system "$2" "$2.part" && mkdir -p "$(dirname "$2")"
  # Its mounts are in a namespace of their own: they end with it, even if it is killed.
  unshare --mount mmdebstrap --quiet --variant="$3" ${4:+--include="$4"} "$1" "$2.part" ${mirror:+"$mirror"} >"$work/log" 2>&1 && mv "$2.part" "$2"
}
for suite in $suites; do
  if ! command -v mmdebstrap >/dev/null; then skip "$suite: there is no mmdebstrap"; continue; fi
  if ! make_chroot "$suite" "$kept/$suite" essential; then skip "$suite: no chroot: $(tail -n 1 "$work/log")"; continue; fi
  convert_in "$kept/$suite" "Debian $suite ($(cat "$kept/$suite/etc/debian_version"))"
done

# Someone who has only Python, each Debian's: two commands, and a page to send that opens no network.
with_python() {  # SUITE
  local to=$kept/$1-python began took python
  if ! make_chroot "$1" "$to" minbase python3,python3-venv; then skip "the wheel in $1: no chroot: $(tail -n 1 "$work/log")"; return; fi
  rm -rf --one-file-system "$to/work" && mkdir "$to/work" && cp "$wheel" "$to/work/" && cp -L "$root/tests/data/roberta/source/model.2019.pt" "$to/work/model.pt"
  if chroot "$to" sh -c 'command -v cc || command -v gcc || command -v c++'; then no "there is a compiler in the chroot"; fi
  chroot "$to" sh -ec "cd work; python3 -m venv env" && python=$(chroot "$to" python3 --version) || { no "Debian $1: python3 -m venv"; return; }
  began=$(date +%s%N)
  if chroot "$to" sh -ec "cd work; . env/bin/activate
      pip install --quiet --no-index --disable-pip-version-check ./$(basename "$wheel")
      remap model.pt -o out" &&
    [ -s "$to/work/out/model.safetensors" ]; then
    took=$((($(date +%s%N) - began) / 1000000))
    if [ "$took" -lt 60000 ]; then ok "Debian $1, $python alone: to a converted checkpoint in two commands, $took ms"; else no "Debian $1: it took $took ms"; fi
  else
    no "Debian $1: the wheel does not install and convert"
  fi
  if chroot "$to" sh -ec "cd work; . env/bin/activate; remap plan model.pt --format html > plan.html; ls env/share/man/man1/remap.1 >/dev/null
      python3 -c 'import remap; p = remap.plan(\"model.pt\"); assert p[\"tensors\"], p'" &&
    [ "$(head -c 15 "$to/work/plan.html")" = '<!DOCTYPE html>' ] && ! grep -qE '(src|href)="?https?:' "$to/work/plan.html"; then
    ok "Debian $1, $python alone: a page of $(stat -c %s "$to/work/plan.html") bytes that loads nothing, the module, the manual page"
  else
    no "Debian $1: page, module or manual page"
  fi
  rm -rf --one-file-system "$to/work"
}
if [ -z "$wheel" ]; then
  skip "the wheel: none was given"
elif ! command -v mmdebstrap >/dev/null; then
  skip "the wheel: there is no mmdebstrap"
else
  for suite in $suites; do with_python "$suite"; done
fi
closing
[ "$failed" = 0 ]
