"""A video that is changed: two seconds made anew by other words, then a second more: edit.py"""

import ltx2

CIRCLE = "a red circle moves right on a blue background"
TRIANGLE = "a yellow triangle moves right on a blue background"


def main() -> None:
    with ltx2.Session() as session:
        video = session.t2v(CIRCLE, seed=1)
        changed = session.retake(TRIANGLE, video, 1.0, 3.0, seed=2)
        longer = session.extend(TRIANGLE, changed, 8, context=17, seed=3)
    for name, clip in (("circle", video), ("changed", changed), ("longer", longer)):
        clip.save(f"{name}.mp4")
        print(f"{name}.mp4: {clip}")


if __name__ == "__main__":
    main()
