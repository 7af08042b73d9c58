"""A video that goes on from a picture: i2v.py PICTURE [PROMPT [OUTPUT]]"""

import sys

import ltx2


def main(
    picture: str,
    prompt: str = "a red circle moves right on a blue background",
    output: str = "i2v.mp4",
) -> None:
    with ltx2.Session() as session:
        video = session.i2v(prompt, picture)
    video.save(output)
    print(f"{output}: {video}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
