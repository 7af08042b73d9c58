"""Calls that are awaited: the event loop goes on, and a task that is cancelled cancels its call."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ltx2
from ltx2._calls import under_way

PROMPT = "a red circle moves right"
ENDLESS: ltx2.Options = {"frames": 257, "steps": 1000}  # hours, if it is not cancelled


@pytest.fixture(scope="module")
def session(tiny_model: list[Path]) -> Iterator[ltx2.Session]:
    with ltx2.Session(tiny_model) as opened:
        yield opened


async def begun(task: asyncio.Task[ltx2.Video], denoising: asyncio.Event) -> None:
    """Wait until it denoises, or has failed before."""
    first = asyncio.ensure_future(denoising.wait())
    await asyncio.wait({task, first}, return_when=asyncio.FIRST_COMPLETED)
    assert first.done(), task.exception()


class Watch:
    """A progress function that tells an event loop of the first step, and counts from then on."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.denoising = asyncio.Event()
        self.threads: set[int] = set()

    def __call__(self, progress: ltx2.Progress) -> None:
        self.threads.add(threading.get_ident())
        if progress.stage == "denoise":
            self.loop.call_soon_threadsafe(self.denoising.set)


def test_what_is_awaited_is_what_the_call_gives(session: ltx2.Session) -> None:
    picture = np.full((8, 8, 3), 200, np.uint8)

    async def both() -> tuple[ltx2.Video, ltx2.Video]:
        return await asyncio.gather(
            session.at2v(PROMPT, seed=5), session.ai2v(PROMPT, picture, seed=5)
        )

    text, image = asyncio.run(both())
    assert np.array_equal(text.frames, session.t2v(PROMPT, seed=5).frames)
    assert np.array_equal(image.frames, session.i2v(PROMPT, picture, seed=5).frames)


def test_the_loop_goes_on_meanwhile(session: ltx2.Session) -> None:
    async def answered() -> ltx2.Video:
        loop, answer = asyncio.get_running_loop(), threading.Event()

        def waits(_: ltx2.Progress) -> None:
            loop.call_soon_threadsafe(answer.set)
            assert answer.wait(60)  # for a loop that goes on

        return await session.at2v(PROMPT, progress=waits)

    assert len(asyncio.run(answered())) == 9


def test_cancelling_the_task_cancels_the_call(session: ltx2.Session) -> None:
    async def cancelled() -> Watch:
        watch = Watch()
        task = asyncio.create_task(session.at2v(PROMPT, progress=watch, **ENDLESS))
        await begun(task, watch.denoising)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not under_way()  # it has ended, not only been told to
        assert len(await session.at2v(PROMPT)) == 9
        return watch

    assert threading.get_ident() not in asyncio.run(cancelled()).threads


def test_a_call_is_cancelled_as_it_begins_too(session: ltx2.Session) -> None:
    async def cancelled() -> None:
        for yields in range(4):
            task = asyncio.create_task(session.at2v(PROMPT, **ENDLESS))
            for _ in range(yields):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not under_way()

    asyncio.run(cancelled())


def test_a_call_that_waits_for_its_turn_never_begins(session: ltx2.Session) -> None:
    async def cancelled() -> set[int]:
        watch, other = Watch(), Watch()
        task = asyncio.create_task(session.at2v(PROMPT, progress=watch, **ENDLESS))
        await begun(task, watch.denoising)
        waiting = asyncio.create_task(session.at2v(PROMPT, progress=other))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])
        return other.threads

    assert not asyncio.run(cancelled())


def test_a_cancelled_call_leaves_no_error_that_nobody_asks_for(session: ltx2.Session) -> None:
    told: list[str] = []

    async def cancelled(again: bool) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, about: told.append(str(about)))
        watch = Watch()
        task = asyncio.create_task(session.at2v(PROMPT, progress=watch, **ENDLESS))
        await begun(task, watch.denoising)
        task.cancel()
        if again:  # while it waits for the call's end
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        await session.at2v(PROMPT)  # after the end of the other
        gc.collect()
        await asyncio.sleep(0)

    for again in (False, True):
        asyncio.run(cancelled(again))
    assert not told


def test_the_session_cancels_calls_that_wait_for_their_turn_too(session: ltx2.Session) -> None:
    async def cancelled() -> list[ltx2.Video | BaseException]:
        watch = Watch()
        task = asyncio.create_task(session.at2v(PROMPT, progress=watch, **ENDLESS))
        waiting = [asyncio.create_task(session.at2v(PROMPT, **ENDLESS)) for _ in range(2)]
        await begun(task, watch.denoising)
        session.cancel()
        ended = await asyncio.wait_for(
            asyncio.gather(task, *waiting, return_exceptions=True), timeout=60
        )
        assert len(await session.at2v(PROMPT)) == 9  # one that begins later is another matter
        return ended

    assert [type(one) for one in asyncio.run(cancelled())] == [ltx2.CancelledError] * 3


def test_errors_reach_who_awaits(session: ltx2.Session) -> None:
    async def refused() -> None:
        def fails(_: ltx2.Progress) -> None:
            raise LookupError("mine")

        def ends(_: ltx2.Progress) -> None:
            raise StopIteration

        with pytest.raises(LookupError, match="mine"):
            await session.at2v(PROMPT, progress=fails)
        with pytest.raises(RuntimeError, match="StopIteration") as raised:  # as of a generator
            await asyncio.wait_for(session.at2v(PROMPT, progress=ends), timeout=60)
        assert isinstance(raised.value.__cause__, StopIteration)
        with pytest.raises(ltx2.InvalidArgumentError, match="width"):
            await session.at2v(PROMPT, width=500)
        with pytest.raises(TypeError, match="did you mean width"):
            await session.at2v(PROMPT, widht=64)  # type: ignore[call-arg]
        with pytest.raises(ltx2.CancelledError):
            await session.at2v(PROMPT, progress=lambda _: session.cancel())

    asyncio.run(refused())


def test_they_have_the_signatures_of_the_calls() -> None:
    for name in ("t2v", "i2v"):
        call, awaited = getattr(ltx2.Session, name), getattr(ltx2.Session, f"a{name}")
        assert inspect.iscoroutinefunction(awaited)
        assert inspect.signature(awaited) == inspect.signature(call)
        assert f"As `{name}`, to be awaited" in (inspect.getdoc(awaited) or "")
