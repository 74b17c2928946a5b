#!/bin/bash
# Stands in for 'remap' while the commands of a case run (cases_test.cpp, [planned]): whatever rules and checkpoint a command names are
# planned and linted as well, on the spot, since the next command may change the files. Then the command is run as it is.
#   $REMAP_REAL     the program
#   $REMAP_REPLAYS  a folder: N.command, N.plan (what the planner said), N.lint (findings), N.lint-error
real=$REMAP_REAL
record() {  # [--rules] FILE or nothing, then the choices and inputs
  rules=$1 n=$(find "$REMAP_REPLAYS" -name '*.command' | wc -l)
  shift
  echo "${rules:-(recognised)} $*" > "$REMAP_REPLAYS/$n.command"
  local names=("$rules") manifests=()
  if (($#)); then
    manifests=(--manifest "$@")
    "$real" plan ${rules:+--rules "$rules"} "$@" "${set[@]}" --format json >/dev/null 2>"$REMAP_REPLAYS/$n.plan"
  else
    "$real" --rules "$rules" --format json >/dev/null 2>"$REMAP_REPLAYS/$n.plan"
  fi
  grep -q '"severity":"error"' "$REMAP_REPLAYS/$n.plan" || return  # nothing was refused
  # Without --rules: those that a message is about, or all there are.
  [[ $rules ]] || mapfile -t names < <(sed -n 's/.*"file":"rules\/\([A-Za-z0-9_-]*\)\.yaml".*/\1/p' "$REMAP_REPLAYS/$n.plan" | head -n 1)
  [[ ${names[0]} ]] || mapfile -t names < <("$real" rules | sed -n 's/^\([A-Za-z0-9_.-]*\): .*/\1/p')
  "$real" lint "${names[@]}" "${manifests[@]}" "${set[@]}" --format json >"$REMAP_REPLAYS/$n.lint" 2>"$REMAP_REPLAYS/$n.lint-error"
}

rules= words=() manifests=() set=() command=
arguments=("$@")
case $1 in
  plan | lint) command=$1 && shift ;;
  inspect | compare | verify | diff | test | explain | infer | fmt | rules | completion) exec "$real" "$@" ;;
esac
while (($#)); do
  case $1 in
    --rules) rules=$2 && shift 2 ;;
    --set | --config | --rules-dir) set+=("$1" "$2") && shift 2 ;;
    --format | -o | --output | --max-shard-size | --threads) shift 2 ;;
    --manifest)
      shift
      while (($#)) && [[ $1 != -* ]]; do manifests+=("$1") && shift; done
      ;;
    -*) shift ;;
    *) words+=("$1") && shift ;;
  esac
done
if [[ $command == lint ]]; then
  for file in "${words[@]}"; do [[ -f $file ]] && record "$file" "${manifests[@]}"; done
elif [[ $rules || ${#words[@]} -gt 0 ]]; then
  record "$rules" "${words[@]}"
fi
exec "$real" "${arguments[@]}"
