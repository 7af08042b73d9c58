"""A video from a prompt, with progress: t2v.py [PROMPT [OUTPUT]]"""

import sys

import ltx2


def show(progress: ltx2.Progress) -> None:
    print(f"\r{progress.stage:>7} {progress.done}/{progress.total}", end="", file=sys.stderr)


def main(
    prompt: str = "a red circle moves right on a blue background", output: str = "t2v.mp4"
) -> None:
    with ltx2.Session() as session:
        video = session.t2v(prompt, progress=show)
    video.save(output)
    print(f"\n{output}: {video}")


if __name__ == "__main__":
    main(*sys.argv[1:])
