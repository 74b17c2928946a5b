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

# convert TITLE RULES CHECKPOINT EXPECTED NAME
convert() {
  local title=$1 rules=$2 checkpoint=$3 expected=$4 target=$out/$5 class
  printf '\n=== %s\n' "$title"
  rm -rf "$target"
  if show "$remap" plan --rules "$rules" "$checkpoint" &&
    show "$remap" --rules "$rules" "$checkpoint" -o "$target" &&
    show ls -l "$target" &&
    show "$remap" compare "$target" "$expected"; then
    class=$(sed -n '/"architectures"/,/]/s/^ *"\([A-Za-z0-9]*\)",\{0,1\}$/\1/p' "$target/config.json")
    printf '\nTo load it in Python:\n\n    from transformers import %s\n    model = %s.from_pretrained("%s")\n' "$class" "$class" "$target"
  else
    printf '\nFAILED: %s\n' "$title"
    failures=$((failures + 1))
  fi
}

mkdir -p "$out"
convert "fairseq RoBERTa of 2019: fused q, k, v; optimizer state left behind" \
  rules/roberta.yaml $data/roberta/source/model.2019.pt $data/roberta/expected roberta
convert "the same with a classification head, fine-tuned on MNLI" \
  rules/roberta.yaml $data/roberta/source-mnli/model.2019.pt $data/roberta/expected-mnli roberta-mnli
convert "T5X Switch Transformer: zarr arrays, experts stacked in one tensor" \
  rules/switch.yaml $data/switch/source/checkpoint_1200 $data/switch/expected switch

printf '\n'
if [ $failures -gt 0 ]; then
  echo "$failures of 3 demonstrations failed"
  exit 1
fi
echo "3 checkpoints converted, each equal to the original script's output bit for bit; see $out"
