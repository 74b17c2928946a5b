"""Converts model checkpoints from the layout they were saved in to the layout people load, by rules that are data.

Every function runs the program ``remap``, which comes with this package, and returns what it prints with
``--format json``: plain dictionaries, whose first entry names their form and its version (docs/library.md). Nothing in a
checkpoint is ever executed, and no tensor passes through Python.

    import remap
    remap.convert("model.pt", "out")
    plan = remap.plan("model.pt")
    print(plan["summary"], len(plan["tensors"]))
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

__all__ = ["Diagnostic", "RemapError", "compare", "convert", "diff", "inspect", "plan", "program", "verify", "version"]

Path = Union[str, "PathLike[str]"]
Value = Union[str, int, float, bool]


@dataclass(frozen=True)
class Diagnostic:
    """What was found, where, and what to do about it."""

    severity: str  # "error", "warning" or "note"
    id: str  # "family-unknown"; `remap explain ID` has a page on each
    message: str
    file: Optional[str] = None
    line: Optional[int] = None
    column: Optional[int] = None
    hint: Optional[str] = None
    notes: Sequence[str] = ()
    json: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)  # all that the program said

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        text = f"{place}: " if place else ""
        text += f"{self.severity}[{self.id}]: {self.message}"
        return text + (f"\n  {self.hint}" if self.hint else "")


class RemapError(Exception):
    """The program could not do what it was asked. `diagnostics` says why; errors come first."""

    def __init__(self, diagnostics: Sequence[Diagnostic], exit_code: int, stderr: str = "") -> None:
        self.diagnostics = list(diagnostics)
        self.exit_code = exit_code
        self.stderr = stderr
        shown = [str(d) for d in self.diagnostics if d.severity == "error"] or [stderr.strip()]
        super().__init__("\n".join(shown) or f"remap ended with exit code {exit_code}")


def program() -> str:
    """The program that is run: $REMAP_PROGRAM, the one that was installed with this package, or the one on the PATH."""
    chosen = os.environ.get("REMAP_PROGRAM")
    if chosen:
        return chosen
    schemes = [sysconfig.get_default_scheme() if hasattr(sysconfig, "get_default_scheme") else None]
    schemes += [name for name in (f"{os.name}_user",) if name in sysconfig.get_scheme_names()]
    folders = [sysconfig.get_path("scripts", scheme) if scheme else sysconfig.get_path("scripts") for scheme in schemes]
    folders.append(os.path.dirname(sys.executable))
    for folder in folders:
        path = os.path.join(folder, "remap") if folder else ""
        if path and os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    found = shutil.which("remap")
    if found is None:
        raise FileNotFoundError("the program 'remap' is neither beside this Python nor on the PATH")
    return found


def version() -> str:
    """The version of the program."""
    return _run(["--version"]).stdout.split()[-1]


def convert(
    checkpoint: Path,
    output: Path,
    *,
    rules: Optional[Path] = None,
    sources: Optional[Mapping[str, Path]] = None,
    set: Optional[Mapping[str, Value]] = None,
    config: Optional[Path] = None,
    rules_dirs: Sequence[Path] = (),
    limits: Optional[Mapping[str, Value]] = None,
    max_shard_size: Optional[str] = None,
    threads: Optional[int] = None,
    force: bool = False,
    resume: bool = False,
    provenance: bool = False,
) -> Dict[str, Any]:
    """Writes the folder `output`, whole or not at all, and returns what was done.

    `rules` is a rule file or the name of a family (None: it is recognised), `sources` further files by name, `set`
    variants such as ``{"dtype": "float16"}``, `config` a file with fields of config.json that the checkpoint does not
    record. Raises RemapError.
    """
    words = _planning(checkpoint, rules, sources, set, config, rules_dirs, limits) + ["-o", _word(output)]
    if max_shard_size is not None:
        words += ["--max-shard-size", max_shard_size]
    if threads is not None:
        words += ["--threads", str(threads)]
    for wanted, option in ((force, "--force"), (resume, "--resume"), (provenance, "--provenance")):
        if wanted:
            words.append(option)
    return _json(words)


def plan(
    checkpoint: Path,
    *,
    rules: Optional[Path] = None,
    sources: Optional[Mapping[str, Path]] = None,
    set: Optional[Mapping[str, Value]] = None,
    config: Optional[Path] = None,
    rules_dirs: Sequence[Path] = (),
    limits: Optional[Mapping[str, Value]] = None,
) -> Dict[str, Any]:
    """What a conversion would do to every tensor ("remap_plan": 1; schemas/plan.schema.json). Reads no tensor data.

    `checkpoint` may be a manifest. Raises RemapError.
    """
    return _json(["plan"] + _planning(checkpoint, rules, sources, set, config, rules_dirs, limits))


def inspect(checkpoint: Path, *, limits: Optional[Mapping[str, Value]] = None) -> Dict[str, Any]:
    """The tensors and metadata of a checkpoint, as the manifest that stands in for it ("remap_manifest": 1).

    Raises RemapError.
    """
    return _json(["inspect", _word(checkpoint)] + _assignments("--limit", limits))


def compare(a: Path, b: Path, *, atol: float = 0.0) -> Dict[str, Any]:
    """How two checkpoints differ, bit for bit or by more than `atol`: "differences" is empty if they do not.

    Raises RemapError if they cannot be compared.
    """
    return _json(["compare", _word(a), _word(b), "--atol", repr(float(atol))])


def verify(
    checkpoint: Path,
    target: Path,
    *,
    rules: Optional[Path] = None,
    sources: Optional[Mapping[str, Path]] = None,
    set: Optional[Mapping[str, Value]] = None,
    config: Optional[Path] = None,
    rules_dirs: Sequence[Path] = (),
    limits: Optional[Mapping[str, Value]] = None,
    atol: Optional[float] = None,
) -> Dict[str, Any]:
    """Computes the model in both layouts and compares, layer by layer ("remap_verify": 1): "passed" is the verdict.

    `target` is the converted folder. Raises RemapError if it cannot be computed.
    """
    words = ["verify", "--target", _word(target)]
    if atol is not None:
        words += ["--atol", repr(float(atol))]
    return _json(words + _planning(checkpoint, rules, sources, set, config, rules_dirs, limits))


def diff(old: Path, new: Path, *, sources: Sequence[Path] = ()) -> List[Dict[str, Any]]:
    """What a change of rules does to each of the manifests `sources`, or those committed beside the rules
    ("remap_diff": 1 each).

    Raises RemapError.
    """
    words = ["diff", _word(old), _word(new)]
    return _json(words + (["--source"] + [_word(one) for one in sources] if sources else []))


def _word(path: Path) -> str:
    """A path that is not taken for an option."""
    text = os.fspath(path)
    return "./" + text if text.startswith("-") else text


def _assignments(option: str, values: Optional[Mapping[str, Value]]) -> List[str]:
    words: List[str] = []
    for name, value in (values or {}).items():
        words += [option, f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
    return words


def _planning(
    checkpoint: Path,
    rules: Optional[Path],
    sources: Optional[Mapping[str, Path]],
    set: Optional[Mapping[str, Value]],
    config: Optional[Path],
    rules_dirs: Sequence[Path],
    limits: Optional[Mapping[str, Value]],
) -> List[str]:
    words: List[str] = []
    if rules is not None:
        words += ["--rules", os.fspath(rules)]
    if config is not None:
        words += ["--config", os.fspath(config)]
    for folder in rules_dirs:
        words += ["--rules-dir", os.fspath(folder)]
    words += _assignments("--set", set) + _assignments("--limit", limits)
    words.append(_word(checkpoint))
    return words + [f"{name}={os.fspath(path)}" for name, path in (sources or {}).items()]


def _run(words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [program(), *words], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="surrogateescape"
    )


def _diagnostics(stderr: str) -> List[Diagnostic]:
    found = []
    for text in stderr.splitlines():
        try:
            one = json.loads(text)
        except ValueError:
            continue
        if not isinstance(one, dict) or "id" not in one:
            continue
        found.append(
            Diagnostic(
                severity=one.get("severity", "error"),
                id=one["id"],
                message=one.get("message", ""),
                file=one.get("file"),
                line=one.get("line"),
                column=one.get("column"),
                hint=one.get("hint"),
                notes=tuple(one.get("notes", ())),
                json=one,
            )
        )
    return sorted(found, key=lambda d: d.severity != "error")


def _json(words: Sequence[str]) -> Any:
    """Exit code 1 is an answer (they differ), not a failure: it is in what is returned."""
    ran = _run([*words, "--format", "json"])
    if ran.returncode not in (0, 1) or not ran.stdout:
        raise RemapError(_diagnostics(ran.stderr), ran.returncode, ran.stderr)
    return json.loads(ran.stdout)
