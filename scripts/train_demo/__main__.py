"""`python scripts/train_demo STAGE --work FOLDER`: trains the demo model, stage by stage."""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # fixed_header is next to this folder

STAGES = ("vae", "decoder", "audio-vae", "vocoder", "clips", "dit", "upsampler", "style", "export")
BESIDE = ("teller", "evaluate", "capitals", "pack", "unpack")


def beside(args: argparse.Namespace, out: Path) -> None:
    """What trains no part of the model."""
    if args.stage == "teller":  # what tells the scenes apart, for `evaluate`
        import evaluate
        import telling

        print(f"right of other drawings: {telling.train(evaluate.SCENES):.1%}")
    elif args.stage == "evaluate":
        import evaluate

        evaluate.evaluate(out, args.count)
    elif args.stage == "capitals":
        import capitals

        capitals.extend(out / "ltx2-demo-gemma.gguf", out / "ltx2-demo-gemma.gguf")
    else:  # what was trained so far as one file, to go on elsewhere
        import parts

        (parts.pack if args.stage == "pack" else parts.unpack)(args.work)


def main() -> None:
    parser = argparse.ArgumentParser(prog="train_demo", description=__doc__)
    parser.add_argument("stage", choices=[*STAGES, *BESIDE])
    parser.add_argument("--work", type=Path, help="checkpoints, kept and resumed")
    parser.add_argument("--out", type=Path, help="the official-format files (default: WORK/out)")
    parser.add_argument("--minutes", type=float, default=30, help="to train for, by the clock")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=2, help="on the CPU")
    parser.add_argument("--processes", type=int, default=1, help="of `dit` on a CPU, a core each")
    parser.add_argument(
        "--spread", type=float, default=1, help="of the scenes of `clips` and `dit`: 0.2 at first"
    )
    parser.add_argument("--clips", type=float, default=1, help="share of the clips to encode")
    parser.add_argument("--tokens", type=int, help="of the transformer's clips in a step")
    parser.add_argument("--compile", action="store_true", help="the transformer's blocks")
    parser.add_argument(
        "--start", type=Path, help="a GGUF file whose video autoencoder to begin with"
    )
    parser.add_argument("--count", type=int, default=100, help="prompts to evaluate")
    args = parser.parse_args()
    if not (args.work or args.stage == "teller" or (args.out and args.stage in BESIDE)):
        parser.error("--work is missing")
    out = args.out or (args.work or Path()) / "out"
    if args.stage not in STAGES:
        beside(args, out)
        return
    import torch

    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("high")
    if args.stage in ("vae", "decoder"):
        import train_vae

        train_vae.train(
            args.work,
            args.minutes,
            args.device,
            decoder_only=args.stage == "decoder",
            start=args.start,
        )
    elif args.stage in ("audio-vae", "vocoder"):
        import train_sound

        train = train_sound.train_vae if args.stage == "audio-vae" else train_sound.train_vocoder
        train(args.work, args.minutes, args.device)
    elif args.stage == "dit":
        import train_dit

        tokens = args.tokens or (2048 if args.device == "cpu" else 65536)
        options = train_dit.Options(
            args.device,
            tokens,
            args.clips,
            args.compile,
            processes=args.processes,
            spread=args.spread,
        )
        train_dit.train(args.work, out, args.minutes, options)
    elif args.stage == "clips":
        import train_dit

        train_dit.encode_clips(args.work, out, args.minutes, args.device, args.spread)
    elif args.stage == "upsampler":
        import train_upsampler

        train_upsampler.train(args.work, args.minutes, args.device, args.clips)
    elif args.stage == "style":
        import train_style

        train_style.train(args.work, out, args.minutes, args.device, args.clips)
    else:
        import export

        export.export(args.work, out)


if __name__ == "__main__":
    main()
