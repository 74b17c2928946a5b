#!/usr/bin/env bash
# Converts the bundled checkpoints and compares each result with what the original conversion script made of them.
# `make demo` runs it; by hand: docs/demo.sh [PROGRAM]. Exit 1 if a conversion fails or a result differs.
set -uo pipefail
cd "$(dirname "$0")/.."

remap=${1:-build/release/remap}
data=tests/data
out=build/demo
failures=0

show() { printf '\n$ %s\n' "$*"; "$@"; }

# Compares; a tensor that the original script got wrong may differ, and no other.
same_but() {
  local wrong_in_script=$1 differences status=0
  shift
  differences=$("$remap" compare "$@") || status=$?
  printf '\n$ %s\n%s\n' "$remap compare $*" "$differences"
  [ $status -eq "$([ -z "$wrong_in_script" ] && echo 0 || echo 1)" ] || return 1  # 1: something differs; 2: could not compare
  differences=$(sed '$d' <<<"$differences" | cut -d: -f1)
  [ "$differences" = "$wrong_in_script" ] || return 1
  [ -z "$wrong_in_script" ] || echo "($wrong_in_script: the original script leaves zeros there; this is the real bias)"
}

# convert TITLE RULES CHECKPOINT EXPECTED NAME [TENSOR THAT THE SCRIPT GOT WRONG]
convert() {
  local title=$1 rules=$2 checkpoint=$3 expected=$4 target=$out/$5 wrong_in_script=${6-} class
  printf '\n=== %s\n' "$title"
  rm -rf "$target"
  if show "$remap" plan --rules "$rules" "$checkpoint" &&
    show "$remap" --rules "$rules" "$checkpoint" -o "$target" &&
    show ls -l "$target" &&
    same_but "$wrong_in_script" "$target" "$expected"; then
    class=$(sed -n '/"architectures"/,/]/s/^ *"\([A-Za-z0-9]*\)",\{0,1\}$/\1/p' "$target/config.json")
    printf '\nTo load it in Python:\n\n    from transformers import %s\n    model = %s.from_pretrained("%s")\n' "$class" "$class" "$target"
  else
    printf '\nFAILED: %s\n' "$title"
    failures=$((failures + 1))
  fi
}

mkdir -p "$out"
convert "fairseq RoBERTa of 2019: fused q, k, v; optimizer state left behind" \
  rules/roberta.yaml $data/roberta/source/model.2019.pt $data/roberta/expected roberta lm_head.bias
convert "the same with a classification head, fine-tuned on MNLI" \
  rules/roberta.yaml $data/roberta/source-mnli/model.2019.pt $data/roberta/expected-mnli roberta-mnli
convert "T5X Switch Transformer: zarr arrays, experts stacked in one tensor" \
  rules/switch.yaml $data/switch/source/checkpoint_1200 $data/switch/expected switch

printf '\n'
if [ $failures -gt 0 ]; then
  echo "$failures of 3 demonstrations failed"
  exit 1
fi
echo "3 checkpoints converted, each tensor equal to the original script's bit for bit but the one named; see $out"
