#!/usr/bin/env python3
"""What a new rule file needs of tests, made from the rule file and a checkpoint: docs/new-family.md.

    new_family.py NAME SOURCE [EXPECTED] [-- OPTIONS OF remap]

NAME: of rules/NAME.yaml. SOURCE: below tests/data. EXPECTED: a folder that the original script made of it; its digest is
kept, not the file. Nothing that exists is overwritten. Run in the root of the repository; REMAP names the program, which is
otherwise build/dev/remap or build/release/remap.
"""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def program():
    for path in (os.environ.get("REMAP"), ROOT / "build/dev/remap", ROOT / "build/release/remap"):
        if path and pathlib.Path(path).exists():
            return str(path)
    sys.exit("there is no remap: build it, or name it with REMAP")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def write_new(path, text):
    if path.exists():
        print(f"{path.relative_to(ROOT)} is there already", file=sys.stderr)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(path.relative_to(ROOT))


def manifests(remap, name):
    """rules/tests/NAME: folded manifests and their plans."""
    published = str(ROOT / "tests/manifests/published.py")
    made = False
    for line in run(sys.executable, published, "--committed").splitlines():
        file, of = line.split()
        if not file.startswith(name + "/"):
            continue
        whole = ROOT / "build" / "manifest.json"
        whole.write_text(run(sys.executable, published, of))
        write_new(ROOT / "rules/tests" / file, run(remap, "inspect", str(whole), "--format", "folded"))
        params = run(sys.executable, published, of, "--params")
        if params.strip() != "null":
            document = re.search(r"^  (\w+): \{format: json", (ROOT / f"rules/{name}.yaml").read_text(), re.MULTILINE)[1]
            write_new((ROOT / "rules/tests" / file).with_name(f"{pathlib.Path(file).stem}+{document}.json"), params)
        made = True
    if made:
        run(remap, "test", f"rules/{name}.yaml", "--update")
    else:
        print(f"tests/manifests/families.py has no manifest '{name}/…'", file=sys.stderr)


def case(name, source, expected, options):
    more = "".join(" " + option for option in options)
    out = [f"{name}: what it is about.", f"=== run: remap plan{more} data/{source}", "--- exit 0"]
    convert = f"remap -q data/{source} -o out{more}"
    if expected:
        folder = ROOT / "tests/data" / name / expected.name
        folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256((expected / "model.safetensors").read_bytes()).hexdigest()
        write_new(ROOT / "tests/data" / name / "SHA256SUMS", f"{digest}  {expected.name}/model.safetensors\n")
        convert += f" && sed 's|{expected.name}/|out/|' data/{name}/SHA256SUMS | sha256sum -c --quiet"
        for file in sorted(expected.glob("*.json")):
            shutil.copyfile(file, folder / file.name)
            convert += f" && diff out/{file.name} data/{name}/{expected.name}/{file.name}"
    out += [f"=== run: {convert}", "--- exit 0", f"=== run: remap verify{more} data/{source} --target out", "--- exit 0"]
    write_new(ROOT / "tests/cases" / f"{name}.case", "\n".join(out) + "\n")


def main(arguments):
    options = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, options = arguments[:at], arguments[at + 1 :]
    if len(arguments) not in (2, 3):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    name, source = arguments[:2]
    remap = program()
    manifests(remap, name)
    case(name, source, pathlib.Path(arguments[2]) if len(arguments) == 3 else None, options)
    print(f"""
tests/unit/mutants_test.cpp:          TEST_CASE("mutants of {name}.yaml") {{ check("{name}", {{input("/{source}")}}); }}
tests/unit/rule_mutants_test.cpp:     TEST_CASE("one mistake in {name}.yaml") {{ check("{name}", {{"NAME OF A MANIFEST"}}); }}
tests/unit/recognise_test.cpp:        {{"{name}", "{source}"}},
tests/unit/verify_families_test.cpp:  a row of sets(), with the names under which the activations were recorded
then: REMAP_UPDATE=1 build/dev/tests/mutants_test; REMAP_UPDATE=1 build/dev/tests/cases_test "[cases]"; and read what they wrote""")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
