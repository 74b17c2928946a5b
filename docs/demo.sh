#!/usr/bin/env bash
# Converts the bundled checkpoints and compares each result with what the original conversion script made of them.
# `make demo` runs it; by hand: docs/demo.sh [PROGRAM]. Exit 1 if a conversion fails or a result differs.
set -uo pipefail
cd "$(dirname "$0")/.."

remap=${1:-build/release/remap}
data=tests/data
out=build/demo
failures=0 total=0

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

# convert TITLE FAMILY "CHECKPOINT AND OPTIONS" EXPECTED NAME [TENSOR THAT THE SCRIPT GOT WRONG]
convert() {
  local title=$1 rules=rules/$2.yaml input expected=$data/$2/$4 target=$out/$5 wrong_in_script=${6-} class
  read -ra input <<<"$3"
  total=$((total + 1))
  printf '\n=== %s\n' "$title"
  rm -rf "$target"
  if show "$remap" plan --rules "$rules" "${input[@]}" &&
    show "$remap" --rules "$rules" "${input[@]}" -o "$target" &&
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
  roberta $data/roberta/source/model.2019.pt expected roberta lm_head.bias
convert "the same with a classification head, fine-tuned on MNLI" \
  roberta $data/roberta/source-mnli/model.2019.pt expected-mnli roberta-mnli
convert "fairseq X-MOD: adapters for four languages" \
  xmod $data/xmod/source/model.pt expected xmod lm_head.bias
convert "fairseq data2vec-audio, fine-tuned with CTC: tokenizer from the checkpoint's own dictionary" \
  data2vec-audio $data/data2vec-audio/source-ctc/model.pt expected-ctc data2vec-audio-ctc
convert "FLAVA as mmf saves it, and DALL-E's pickled codebook" \
  flava "$data/flava/source/model.mmf.pt codebook=$data/flava/source/encoder.pkl --config $data/flava/source/config_input.json" expected flava
convert "Meta's Llama 3.1, two files cut along different axes" \
  llama $data/llama/llama31-two-shards/source llama31-two-shards/expected llama
convert "T5X Switch Transformer: zarr arrays, experts stacked in one tensor" \
  switch $data/switch/source/checkpoint_1200 expected switch

# A checkpoint of no family: every tensor under its own name. convert_any TITLE CHECKPOINT EXPECTED NAME
convert_any() {
  local title=$1 checkpoint=$2 expected=$3 target=$out/$4
  total=$((total + 1))
  printf '\n=== %s\n' "$title"
  rm -rf "$target"
  if ! { show "$remap" inspect "$checkpoint" --format text && show "$remap" --rules plain "$checkpoint" --set root= -o "$target" &&
    same_but "" "$target" "$expected"; }; then
    printf '\nFAILED: %s\n' "$title"
    failures=$((failures + 1))
  fi
}
convert_any "torch.distributed.checkpoint of two ranks, any model: chunks in several files, read where they lie" \
  $data/sources/dcp-dtensor/source $data/sources/dcp-dtensor/expected.safetensors dcp
convert_any "DeepSpeed ZeRO-3: what zero_to_fp32.py makes, without holding it in memory" \
  $data/sources/deepspeed-zero3-bf16/source $data/sources/deepspeed-zero3-bf16/expected.safetensors zero3

printf '\n'
if [ $failures -gt 0 ]; then
  echo "$failures of $total demonstrations failed"
  exit 1
fi
echo "$total checkpoints converted, each tensor equal to the original script's (or framework's) bit for bit but those named; see $out"
