"""Stopping a call from another thread, and using the session again afterwards."""

import threading

import ltx2

PROMPT = "a red circle moves right on a blue background"


def main() -> None:
    denoising = threading.Event()

    def watch(progress: ltx2.Progress) -> None:
        if progress.stage == "denoise":
            denoising.set()

    with ltx2.Session() as session:

        def stop() -> None:
            denoising.wait()
            session.cancel()

        thread = threading.Thread(target=stop)
        thread.start()
        try:
            session.t2v(PROMPT, progress=watch)
            print("finished before it was stopped")
        except ltx2.CancelledError:
            print("cancelled")
        thread.join()
        print(session.t2v(PROMPT))


if __name__ == "__main__":
    main()
