#!/bin/sh
# The package's files from those of `export`: sh scripts/train_demo/convert.sh OUT [TYPE]
set -e
out=$1
type=${2:-q5_1}
python -m ltx2 convert "$out/ltx2-demo.safetensors" -o "$out/ltx2-demo.gguf" --type "$type" \
    --tensor-type "*transformer_blocks.#.*.weight=$type" \
    --tensor-type "*adaln_single.*.weight=q8_0"
python -m ltx2 convert "$out/gemma" -o "$out/ltx2-demo-gemma.gguf" --type q8_0
python "$(dirname "$0")" capitals --out "$out"
python -m ltx2 convert "$out/ltx2-demo-upsampler.safetensors" -o "$out/ltx2-demo-upsampler.gguf" \
    --type f16
ls -l "$out"/*.gguf
