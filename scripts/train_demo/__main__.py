"""`python scripts/train_demo STAGE --work FOLDER`: trains the demo model, stage by stage."""

import argparse
import sys
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # fixed_header is next to this folder


def main() -> None:
    parser = argparse.ArgumentParser(prog="train_demo", description=__doc__)
    parser.add_argument("stage", choices=["vae", "decoder", "dit", "export", "evaluate"])
    parser.add_argument("--work", type=Path, required=True, help="checkpoints, kept and resumed")
    parser.add_argument("--out", type=Path, help="the official-format files (default: WORK/out)")
    parser.add_argument("--minutes", type=float, default=30, help="busy time to train for")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    out = args.out or args.work / "out"
    if args.stage in ("vae", "decoder"):
        import train_vae

        decoder_only = args.stage == "decoder"
        lr = 5e-4 if decoder_only else 1e-3
        train_vae.train(args.work, args.minutes, lr, 2 * lr, decoder_only)
    elif args.stage == "dit":
        import train_dit

        train_dit.train(args.work, out, args.minutes, lr=2e-3, muon_lr=3e-3)
    elif args.stage == "export":
        import export

        export.export(args.work, out)
    else:
        import evaluate

        evaluate.evaluate(args.work, out)


if __name__ == "__main__":
    main()
