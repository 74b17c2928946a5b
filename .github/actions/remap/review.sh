#!/usr/bin/env bash
# What the action does, in the runner's environment: annotations on standard output, a summary in $GITHUB_STEP_SUMMARY, the
# output "changed" in $GITHUB_OUTPUT, a comment with gh. Exit code 1: there are findings, another layout, or plans that are
# not the committed ones; 2: something could not be done.
set -uo pipefail

: "${GITHUB_OUTPUT:=/dev/null}" "${GITHUB_STEP_SUMMARY:=/dev/null}" "${RUNNER_TEMP:=$(mktemp -d)}"
read -r -a paths <<<"${REMAP_PATHS:-rules schemas}"
worst=0
run() {  # NAME COMMAND…: the worst exit code counts; every step is run
  echo "::group::$1"
  "${@:2}"
  local code=$?
  echo "::endgroup::"
  [ "$code" -le "$worst" ] || worst=$code
  [ "$code" = 0 ] || echo "::error title=$1::exit code $code"
}

if [ -n "${REMAP_WHEEL-}" ]; then  # in an environment of its own: nothing of the job's Python changes
  python3 -m venv "$RUNNER_TEMP/remap" && "$RUNNER_TEMP/remap/bin/pip" install --quiet "$REMAP_WHEEL" ||
    { echo "::error title=remap::pip cannot install $REMAP_WHEEL"; exit 2; }
  PATH=$RUNNER_TEMP/remap/bin:$PATH
fi

there=()
for path in "${paths[@]}"; do [ ! -e "$path" ] || there+=("$path"); done
[ ${#there[@]} -gt 0 ] || { echo "::error title=remap::none of these folders is there: ${paths[*]}"; exit 2; }

has_manifests() { [ -n "$(find "${1%/*}/tests/$(basename "$1" .yaml)" -name '*.json' -o -name '*.tsv' 2>/dev/null)" ]; }
rule_files=() planned=false
for folder in "${there[@]}"; do
  for rules in "${folder%/}"/*.yaml; do
    grep -qs '^remap:' "$rules" || continue
    rule_files+=("$rules")
    ! has_manifests "$rules" || planned=true
  done
done

# Annotations are read from standard output only outside of what a group hides: they are printed as they are.
remap lint "${there[@]}" --format github
code=$?; [ "$code" -le "$worst" ] || worst=$code
run "remap fmt --check" remap fmt "${there[@]}" --check
[ "$planned" = false ] || run "remap test" remap test "${there[@]}"

changed=false
report=$RUNNER_TEMP/remap-changes.md
: >"$report"
if [ -n "${REMAP_BASE-}" ]; then
  git cat-file -e "$REMAP_BASE^{commit}" 2>/dev/null || git fetch --quiet --depth=1 origin "$REMAP_BASE" ||
    { echo "::error title=remap::the commit $REMAP_BASE is not there"; exit 2; }
  # A plan changes with its rule file, and with the schema that this names (which may be gone).
  schemas=()
  while IFS= read -r -d '' path; do
    name=$(basename "$path" .yaml)
    ! grep -q '^remap_schema:' <(cat "$path" 2>/dev/null || git show "$REMAP_BASE:$path") || schemas+=(-e "${name%.schema}")
  done < <(git diff -z --no-renames --name-only "$REMAP_BASE" -- "${paths[@]/%//*.yaml}")
  for rules in "${rule_files[@]}"; do
    git cat-file -e "$REMAP_BASE:$rules" 2>/dev/null || continue
    if git diff --quiet "$REMAP_BASE" -- "$rules"; then
      [ ${#schemas[@]} -gt 0 ] && grep -qwF "${schemas[@]}" "$rules" || continue
    fi
    has_manifests "$rules" || { echo "::notice file=$rules,title=remap diff::it has no manifests: what changes is not shown"; continue; }
    said=$(remap diff "$REMAP_BASE:$rules" "$rules" --format markdown 2>"$RUNNER_TEMP/remap-said")
    code=$?
    case $code in
      0) ;;
      1) changed=true; printf '### `%s`\n\n%s\n\n' "$rules" "$said" >>"$report" ;;
      *) cat "$RUNNER_TEMP/remap-said"; worst=2 ;;
    esac
  done
fi
echo "changed=$changed" >>"$GITHUB_OUTPUT"
[ -s "$report" ] && most=60000 && head -c "$most" "$report" >>"$GITHUB_STEP_SUMMARY"
if [ "$changed" = true ] && [ "${REMAP_COMMENT:-true}" = true ] && [ -n "${REMAP_NUMBER-}" ]; then
  head -c "$most" "$report" >"$report.short"
  gh pr comment "$REMAP_NUMBER" --edit-last --body-file "$report.short" 2>/dev/null ||
    gh pr comment "$REMAP_NUMBER" --body-file "$report.short" || echo "::warning title=remap::the comment could not be written"
fi
exit "$worst"
