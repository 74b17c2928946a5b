#!/usr/bin/env bash
# tests/review/runner.sh PROGRAM [WHEEL]: plays GitHub's runner for the action, and pre-commit for the hooks: a repository, its
# environment, files and exit codes. Last line: "N passed, N failed". Without a wheel the program comes from the PATH.
set -uo pipefail
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
export GIT_CONFIG_GLOBAL=/dev/null
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$(realpath "${1:?the program}") wheel=${2:+$(realpath "$2")}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
check() { if eval "$2"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $1"; fi; }

mkdir -p "$work/bin" "$work/repo/rules/tests/toy" && cd "$work/repo"
ln -s "$program" "$work/bin/remap"
cat >"$work/bin/gh" <<'G'
#!/bin/sh
# gh pr comment NUMBER [--edit-last] --body-file FILE: keeps what it is given; there is no last comment to edit.
case $* in *--edit-last*) exit 1 ;; esac
echo "$3" >"$GH_SAID.number"; cp "$5" "$GH_SAID"
G
chmod +x "$work/bin/gh"
git init -q . && git config user.email a@b && git config user.name A
cat >rules/toy.yaml <<'Y'
# yaml-language-server: $schema=../schemas/rules.schema.json
remap: 1
family: toy
title: a toy
source: {format: torch}
target: {architecture: ToyModel, model_type: toy}
rules:
  - {from: layers.*.weight, to: layer.*.weight, shape: [rows, cols]}
Y
printf 'layers.0.weight F32 [3,2]\nlayers.1.weight F32 [3,2]\n' >rules/tests/toy/base.tsv
PATH=$work/bin:$PATH remap fmt rules >/dev/null
PATH=$work/bin:$PATH remap test rules --update >/dev/null 2>&1
git add . && git commit -qm base && base=$(git rev-parse HEAD)

act() {  # what the runner does: the environment of the step, files for what it says
  rm -f "$work"/said* "$work/output" "$work/summary"; : >"$work/output" >"$work/summary"
  env -i HOME="$work" PATH="$work/bin:/usr/bin:/bin" RUNNER_TEMP="$work" GITHUB_ACTIONS=true GITHUB_OUTPUT="$work/output" \
    GITHUB_STEP_SUMMARY="$work/summary" GITHUB_ACTION_PATH="$root/.github/actions/remap" GH_SAID="$work/said" \
    GH_TOKEN=t REMAP_PATHS="rules schemas" REMAP_WHEEL="$wheel" REMAP_COMMENT=true REMAP_BASE="$base" REMAP_NUMBER=7 \
    bash --noprofile --norc -eo pipefail -c '"$GITHUB_ACTION_PATH/review.sh"' >"$work/stdout" 2>"$work/stderr"
  code=$?
}
act
check "nothing changes: exit $code, $(cat "$work/stdout" "$work/stderr")" '[ $code = 0 ] && [ ! -e "$work/said" ]'
check "changed=false" 'grep -qx changed=false "$work/output"'
sed -i 's/to: layer\.\*/to: block.*/' rules/toy.yaml
act
check "the plan is not the committed one: exit $code" '[ $code = 1 ]'
check "changed=true" 'grep -qx changed=true "$work/output"'
check "the comment on 7 names the tensors" 'grep -qx 7 "$work/said.number" && grep -q "block" "$work/said"'
check "the summary of the job has it too" 'grep -q "block" "$work/summary"'
PATH=$work/bin:$PATH remap test rules --update >/dev/null 2>&1
act
check "with the plan committed: exit $code" '[ $code = 0 ]'
sed -i 's/shape: \[rows, cols\]/shap: [rows, cols]/' rules/toy.yaml
act
check "a mistake: exit $code" '[ $code != 0 ]'
check "is an annotation" 'grep -q "^::error file=rules/toy.yaml,line=8" "$work/stdout"'
git checkout -q rules

# A schema has no manifests of its own: the rule files that name it are planned.
mkdir schemas
cat >schemas/toy.yaml <<'Y'
remap_schema: 1
model_type: toy
library: transformers 4.38.2
config: {width: 2}
architectures:
  ToyModel:
    layer.{0..1}.weight: [rows, width]
Y
cat >schemas/other.fields.yaml <<'Y'
# Names no rules.
remap_fields: 1
library: transformers 4.38.2
common: [id2label]
Y
sed -i 's/{architecture: ToyModel, model_type: toy}/{schema: toy, architecture: ToyModel}/' rules/toy.yaml
echo 'config: {rows: $rows, width: $cols}' >>rules/toy.yaml
PATH=$work/bin:$PATH remap fmt rules schemas >/dev/null
PATH=$work/bin:$PATH remap test rules --update >/dev/null 2>&1
act
check "rules and their new schema: exit $code, $(cat "$work/stdout" "$work/stderr")" '[ $code = 0 ] && grep -qx changed=true "$work/output"'
git add . && git commit -qm schema && base=$(git rev-parse HEAD)
sed -i 's/# Names no rules/# Names none/' schemas/other.fields.yaml
sed -i '1i # A toy' schemas/toy.yaml
act
check "comments of schemas: exit $code, $(cat "$work/stdout" "$work/stderr")" '[ $code = 0 ] && grep -qx changed=false "$work/output"'
sed -i 's/4\.38\.2/4.39.0/' schemas/toy.yaml
act
check "a schema's change: exit $code" '[ $code = 1 ] && grep -qx changed=true "$work/output"'
check "is in the comment, under the rules" 'grep -q "rules/toy.yaml" "$work/said" && grep -q "4.39.0" "$work/said"'
git rm -qf schemas/toy.yaml
act
check "a schema that is gone: exit $code" '[ $code != 0 ] && grep -qx changed=true "$work/output"'
git reset -q --hard

# Rules that nothing is committed for.
git mv rules/tests/toy tests && git commit -qm 'no manifests' && base=$(git rev-parse HEAD)
sed -i 's/title: a toy/title: one toy/' rules/toy.yaml
act
check "no manifests: exit $code, $(cat "$work/stdout" "$work/stderr")" '[ $code = 0 ] && grep -qx changed=false "$work/output"'
check "is said of the file" 'grep -q "^::notice file=rules/toy.yaml.*no manifests" "$work/stdout"'
git reset -q --hard HEAD~1

# What GitHub and pre-commit read before anything runs.
for file in "$root"/.github/actions/*/action.yml "$root/.pre-commit-hooks.yaml"; do
  not_yaml=$("$program" lint "$file" 2>&1 | grep yaml-syntax)
  check "$not_yaml" '[ -z "$not_yaml" ]'
done

# The hooks, as pre-commit calls them: the entry, and the names of the files that match, as arguments.
while IFS=$'\t' read -r id entry pattern pass; do
  files=$(git ls-files | grep -E "$pattern" | grep -E '\.yaml$' | head -n 5)
  [ "$pass" = true ] || files=
  # shellcheck disable=SC2086
  PATH=$work/bin:$PATH $entry $files >"$work/hook" 2>&1
  code=$?
  check "hook $id: exit $code: $(head -n 3 "$work/hook")" '[ $code = 0 ]'
done < <(python3 - "$root/.pre-commit-hooks.yaml" <<'P'
import re, sys
for hook in re.split(r"^- ", open(sys.argv[1]).read(), flags=re.M)[1:]:
    get = lambda name, default="": (re.search(rf"^\s*{name}: (.*)$", hook, re.M) or [0, default])[1]
    assert get("language") == "python", hook
    print(get("id"), get("entry"), get("files"), get("pass_filenames", "true"), sep="\t")
P
)
if [ -n "$wheel" ]; then  # language: python: an environment in which this repository's package is installed
  python3 -m venv "$work/hooks" && "$work/hooks/bin/pip" install -q --no-index --disable-pip-version-check "$wheel"
  env -i PATH="$work/hooks/bin:/usr/bin:/bin" remap lint rules >"$work/hook" 2>&1
  check "a hook finds the program of its own environment" '[ $? = 0 ]'
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
