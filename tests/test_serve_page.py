"""The page of `ltx2 serve`, as a person uses it, in Chromium.

Playwright drives the Chromium that LTX2_CHROMIUM names, that is in PATH, or that
`playwright install chromium` brought.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="needs ltx2[serve]")
pytest.importorskip("starlette", reason="needs ltx2[serve]")
pytest.importorskip("python_multipart", reason="needs ltx2[serve]")
pytest.importorskip("playwright", reason="needs Playwright")

import threading

from PIL import Image
from playwright.sync_api import Browser, Error, Locator, Page, expect, sync_playwright
from serving import PATIENCE, SIZES, STEPS, Client, Drawing, serving

from ltx2 import media

PROMPT = "a red circle moves right"
expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    named = os.environ.get("LTX2_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=named)
        except Error as error:
            pytest.skip(f"needs Chromium: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """One that finds no fault with what it is given."""
    context = chromium.new_context(accept_downloads=True)
    context.set_default_timeout(PATIENCE * 1000)
    opened, faults = context.new_page(), []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda message: faults.append(message.text))
    yield opened
    context.close()
    # While there is no server, or what it refuses, or a preview that was late; and a test that
    # fills in a field sooner than the browser puts the cursor there.
    expected = r"net::ERR_|status of 40[014]|Autofocus processing was blocked"
    assert [fault for fault in faults if not re.search(expected, fault)] == []


def session(steps: int = 10**9) -> Drawing:
    return Drawing(may=threading.Semaphore(steps))


def ask(page: Page, prompt: str) -> None:
    page.get_by_label("What should it show?").fill(prompt)
    page.get_by_role("button", name="Make video").click()


def test_a_prompt_becomes_a_clip_that_plays(page: Page, tmp_path: Path) -> None:
    drawing = session(1)
    with serving(tmp_path, drawing) as client:
        page.goto(f"http://127.0.0.1:{client.port}/")
        expect(page.get_by_text("Your videos will appear here.")).to_be_visible()
        expect(page.locator("#plan")).to_have_text(
            "64 × 64, 9 frames: about 4.0 s, 1 MiB of memory"
        )
        ask(page, PROMPT)
        making = page.locator("#queue li")
        expect(making).to_contain_text(PROMPT)
        expect(making).to_contain_text(f"Drawing, step 1 of {STEPS}")
        expect(making.get_by_role("progressbar")).to_have_attribute("value", "18")
        preview = making.get_by_role("img", name="Preview of")
        assert page.wait_for_function("image => image.naturalWidth", arg=preview.element_handle())
        drawing.may.release(100)
        clip = page.locator("#gallery li")
        expect(clip).to_contain_text(PROMPT)
        expect(making).to_have_count(0)
        expect(page.locator("#news")).to_have_text(f"Done: {PROMPT}")
        plays(page)


def plays(page: Page) -> None:
    if not page.evaluate(
        "document.createElement('video').canPlayType('video/mp4; codecs=avc1.64001e')"
    ):
        return  # a Chromium without H.264
    video = page.locator("#gallery video").first.element_handle()
    page.wait_for_function("video => video.currentTime > 0.1 && !video.error", arg=video)


def test_one_is_cancelled_and_goes_on_later(page: Page, tmp_path: Path) -> None:
    drawing = session(2)
    with serving(tmp_path, drawing) as client:
        page.goto(f"http://127.0.0.1:{client.port}/")
        for prompt in ("first", "second"):
            ask(page, prompt)
            expect(page.locator("#queue")).to_contain_text(prompt)
        first = page.locator("#queue li", has_text="first")
        expect(first).to_contain_text("step 2")
        expect(page.locator("#queue li", has_text="second")).to_contain_text("Waiting, 1 before it")
        first.get_by_role("button", name="Cancel").click()
        expect(first).to_contain_text("Cancelled")
        drawing.may.release(100)
        expect(page.locator("#gallery li", has_text="second")).to_be_visible()
        first.get_by_role("button", name="Go on").click()
        expect(page.locator("#gallery li", has_text="first")).to_be_visible()
        assert drawing.asked[-1]["begun"] == 2


def test_a_reload_in_the_middle_loses_nothing(page: Page, tmp_path: Path) -> None:
    drawing = session(2)
    with serving(tmp_path, drawing) as client:
        page.goto(f"http://127.0.0.1:{client.port}/")
        ask(page, PROMPT)
        making = page.locator("#queue li")
        expect(making).to_contain_text("step 2")
        page.get_by_label("What should it show?").fill("what I was typing")
        page.get_by_label("Seed", exact=True).fill("18446744073709551615")
        page.reload()
        expect(making).to_contain_text("step 2")
        expect(making.get_by_role("img", name="Preview of")).to_be_visible()
        expect(page.get_by_label("What should it show?")).to_have_value("what I was typing")
        expect(page.get_by_label("Seed", exact=True)).to_have_value("18446744073709551615")
        drawing.may.release(100)
        expect(page.locator("#gallery li")).to_contain_text(PROMPT)


SEEN = """(seen) => {
    Object.defineProperty(document, "hidden", { value: !seen, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""  # as a browser does when a tab is changed


def test_seven_pages_are_open_and_each_works_when_it_is_seen(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        pages = [page, *(page.context.new_page() for _ in range(6))]
        for number, opened in enumerate(pages):
            opened.goto(f"http://127.0.0.1:{client.port}/")
            ask(opened, f"number {number}")
            expect(opened.locator("#gallery li")).to_have_count(number + 1)
            opened.evaluate(SEEN, False)
        page.evaluate(SEEN, True)
        expect(page.locator("#gallery li")).to_have_count(7)
        ask(page, "one more")
        expect(page.locator("#gallery li")).to_have_count(8)


def test_what_waits_stands_behind_what_is_made_though_it_was_asked_for_before(
    page: Page, tmp_path: Path
) -> None:
    with serving(tmp_path, session(0)) as client:
        names = [client.create(prompt)["id"] for prompt in ("first", "second")]
        client.ask("POST", f"/v1/videos/{names[0]}/cancel")
        client.until_it_is("in_progress", names[1])
        page.goto(f"http://127.0.0.1:{client.port}/")
        first = page.locator("#queue li", has_text="first")
        first.get_by_role("button", name="Go on").click()
        expect(first.locator(".state")).to_have_text("Waiting, 1 before it")


def test_a_browser_that_keeps_nothing_makes_videos(page: Page, tmp_path: Path) -> None:
    page.add_init_script("""Object.defineProperty(window, "sessionStorage", {
        get() { throw new DOMException("denied", "SecurityError"); },
    });""")
    with serving(tmp_path) as client:
        page.goto(f"http://127.0.0.1:{client.port}/")
        expect(page.locator("#plan")).to_contain_text("64 × 64")
        sizes = page.locator("#size option").count()
        ask(page, PROMPT)
        expect(page.locator("#gallery li")).to_have_count(1)
        assert page.locator("#size option").count() == sizes


def test_a_long_queue_is_shown_as_a_whole(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path, session(0)) as client:
        for number in range(103):  # more than one answer lists
            name = client.create(f"number {number}")["id"]
            if number % 2:
                client.ask("POST", f"/v1/videos/{name}/cancel")
        page.goto(f"http://127.0.0.1:{client.port}/")
        expect(page.locator("#queue li")).to_have_count(103)
        expect(page.locator("#queue li").last).to_contain_text("Waiting, 51 before it")


def full_gallery(page: Page, client: Client, folder: Path, count: int) -> Locator:
    """The clips that are shown of so many in the folder."""
    still = np.zeros((1, 32, 32, 3), np.uint8)
    about = {"prompt": PROMPT, "width": 32, "height": 32, "frames": 1, "fps": 8.0}
    for number in range(count):
        media.save(folder / f"{number}.gif", still, 8, about)
    page.goto(f"http://127.0.0.1:{client.port}/")
    shown = page.locator("#gallery li")
    expect(shown).to_have_count(24)
    return shown


def test_older_ones_are_shown_though_the_last_that_was_is_deleted(
    page: Page, tmp_path: Path
) -> None:
    with serving(tmp_path) as client:
        shown = full_gallery(page, client, tmp_path, 50)
        for left in (23, 22):  # as another page does
            name = shown.last.get_attribute("data-id")
            assert client.ask("DELETE", f"/v1/videos/{name}").status == 200
            expect(shown).to_have_count(left)
        page.get_by_role("button", name="Show older ones").click()
        expect(shown).to_have_count(46)
        expect(page.locator("#problem")).to_be_hidden()
        page.get_by_role("button", name="Show older ones").click()
        expect(shown).to_have_count(48)
        expect(page.get_by_role("button", name="Show older ones")).to_be_hidden()


def test_older_ones_are_shown_though_the_file_of_the_last_is_gone(
    page: Page, tmp_path: Path
) -> None:
    with serving(tmp_path) as client:
        shown = full_gallery(page, client, tmp_path, 30)
        last = shown.last.get_attribute("data-id")
        (tmp_path / client.get(f"/v1/videos/{last}")["file"]).unlink()
        page.get_by_role("button", name="Show older ones").click()
        expect(page.locator(f"[data-id={last}]")).to_have_count(0)
        page.get_by_role("button", name="Show older ones").click()
        expect(shown).to_have_count(29)


def test_after_a_restart_the_gallery_is_in_order(page: Page, tmp_path: Path) -> None:
    still = np.zeros((1, 32, 32, 3), np.uint8)
    about = {"width": 32, "height": 32, "frames": 1, "fps": 8.0}
    for number in range(30):
        media.save(tmp_path / f"{number}.gif", still, 8, {**about, "prompt": f"number {number}."})
        os.utime(tmp_path / f"{number}.gif", (number, number))
    shown = page.locator("#gallery .prompt")
    with serving(tmp_path) as client:
        page.goto(f"http://127.0.0.1:{client.port}/")
        expect(shown).to_have_text([f"number {number}." for number in range(29, 5, -1)])
    expect(page.locator("#connection")).to_be_visible()
    for number in (29, 20):
        (tmp_path / f"{number}.gif").unlink()
    left = [number for number in range(28, 3, -1) if number != 20]
    with serving(tmp_path, port=client.port):
        expect(shown).to_have_text([f"number {number}." for number in left])


def test_a_restart_in_the_middle_loses_nothing(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path, session(2)) as client:
        page.goto(f"http://127.0.0.1:{client.port}/")
        for prompt in ("first", "second"):
            ask(page, prompt)
            expect(page.locator("#queue")).to_contain_text(prompt)
        expect(page.locator("#queue li", has_text="first")).to_contain_text("step 2")
    expect(page.locator("#connection")).to_be_visible()
    expect(page.locator("#queue li")).to_have_count(2)
    with serving(tmp_path, drawing := session(), port=client.port):
        expect(page.locator("#gallery li")).to_have_count(2)  # without a reload
        expect(page.locator("#connection")).to_be_hidden()
        assert [asked["begun"] for asked in drawing.asked] == [2, 0]


def test_a_clip_is_made_again_and_with_another_seed(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path, drawing := session()) as client:
        page.goto(f"http://127.0.0.1:{client.port}/")
        client.until_it_is("completed", client.create(PROMPT, seed=5, steps=3, stg=0.5)["id"])
        clip = page.locator("#gallery li").first
        clip.get_by_role("button", name="With another seed").click()
        expect(page.locator("#gallery li")).to_have_count(2)
        assert drawing.asked[1]["seed"] != 5
        old = page.locator("#gallery li").last
        expect(old).to_contain_text(re.compile(r"seed 5\b"))
        old.get_by_role("button", name="Again").click()
        expect(page.get_by_label("What should it show?")).to_have_value(PROMPT)
        page.get_by_label("What should it show?").fill("changed")
        page.get_by_role("button", name="Make video").click()
        expect(page.locator("#gallery li")).to_have_count(3)
        again = drawing.asked[2]
        assert (again["seed"], again["steps"], again["prompt"]) == (5, 3, "changed")
        assert (again["width"], again["frames"]) == (SIZES["width"], SIZES["frames"])
        old.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Keep").click()
        old.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.locator("#gallery li")).to_have_count(2)


def test_again_is_exact(page: Page, tmp_path: Path) -> None:
    """A seed that JavaScript would round, and a list of one frame beside a picture."""
    file, seed = tmp_path / "a.png", 2**64 - 1
    Image.new("RGB", (40, 30)).save(file)
    with serving(tmp_path / "videos", drawing := session(0)) as client:
        name = client.create(PROMPT, seed=seed, generated_keyframes=[8])["id"]
        client.ask("POST", f"/v1/videos/{name}/cancel")
        page.goto(f"http://127.0.0.1:{client.port}/")
        page.get_by_role("button", name="Use again").click()
        page.locator("#file").set_input_files(file)
        drawing.may.release(100)
        page.get_by_role("button", name="Make video").click()
        clip = page.locator("#gallery li")
        expect(clip.locator(".facts")).to_contain_text(str(seed))
        expect(clip.locator("dl")).to_contain_text(str(seed))
        again = drawing.asked[-1]
        assert (again["seed"], again["generated_keyframes"]) == (seed, "8,")


DROP = """([target, base64]) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], "a.png", { type: "image/png" }));
    for (const kind of ["dragover", "drop"]) {
        target.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true }));
    }
}"""


def test_a_picture_is_dropped_and_the_first_frame(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.new("RGB", (40, 30), "green").save(file)
    with serving(tmp_path / "videos", drawing := session()) as client:
        page.goto(f"http://127.0.0.1:{client.port}/")
        expect(page.locator("#model")).to_have_text("drawing")
        target = page.locator("#drop").element_handle()
        page.evaluate(DROP, [target, base64.b64encode(file.read_bytes()).decode()])
        expect(page.get_by_role("img", name="The picture that the video begins")).to_be_visible()
        ask(page, PROMPT)
        clip = page.locator("#gallery li")
        expect(clip).to_have_count(1)
        assert (np.asarray(Image.open(drawing.asked[0]["image"])) == (0, 128, 0)).all()
        page.get_by_role("button", name="Remove picture").click()
        page.locator("#file").set_input_files(file)  # and by the button
        expect(page.get_by_role("button", name="Choose another picture")).to_be_visible()


def test_what_is_refused_is_said(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        page.goto(f"http://127.0.0.1:{client.port}/")
        page.get_by_label("Size").select_option(label="another…")
        page.get_by_label("Width").fill("33")
        expect(page.locator("#plan")).to_have_text("width: 33 is not a multiple of 32")
        ask(page, PROMPT)
        expect(page.get_by_role("alert")).to_have_text("width: 33 is not a multiple of 32")


def test_the_keyboard_is_enough(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        page.goto(f"http://127.0.0.1:{client.port}/")
        expect(page.locator("#model")).to_have_text("drawing")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="To the prompt")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.type(PROMPT)
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.get_by_role("button", name="Make video").evaluate("b => b.matches(':focus')"):
                break
        page.keyboard.press("Enter")
        expect(page.locator("#gallery li")).to_contain_text(PROMPT)


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_screen(width: int, page: Page, tmp_path: Path) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    with serving(tmp_path, session(6)) as client:
        long = "a" * 300 + " red circle"
        client.until_it_is("completed", client.create(long)["id"])
        client.create(long)
        page.goto(f"http://127.0.0.1:{client.port}/")
        expect(page.locator("#gallery li")).to_have_count(1)
        expect(page.locator("#queue li")).to_have_count(1)
        page.locator("#more summary").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(scheme: str, chromium: Browser, tmp_path: Path) -> None:
    """By 4.5 to 1 or more, as WCAG wants it."""
    with serving(tmp_path) as client:
        client.until_it_is("completed", client.create(PROMPT)["id"])
        page = chromium.new_page(color_scheme="dark" if scheme == "dark" else "light")
        page.goto(f"http://127.0.0.1:{client.port}/")
        expect(page.locator("#gallery li")).to_have_count(1)
        worst = page.evaluate(CONTRAST)
        page.close()
        assert worst["ratio"] >= 4.5, worst


CONTRAST = """() => {
    const part = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
    const ground = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = numbers(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    let worst = { ratio: 99 };
    for (const element of document.querySelectorAll("body *")) {
        const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
        if (!own || !element.checkVisibility()) continue;
        const [a, b] = [light(numbers(getComputedStyle(element).color)), light(ground(element))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < worst.ratio) worst = { ratio, text: element.textContent };
    }
    return worst;
}"""


def test_a_phone_enters_by_the_address_with_the_token(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path, token="a-token-of-22-letters") as client:
        here = f"http://127.0.0.1:{client.port}/"
        page.goto(f"{here}?token={client.token}")
        expect(page.locator("#model")).to_have_text("drawing")
        assert page.url == here  # the token is not left where it could be copied from
        page.goto(here)
        expect(page.locator("#model")).to_have_text("drawing")
        page.context.clear_cookies()
        page.goto(here)
        page.get_by_label("The token that").fill("another")
        page.get_by_role("button", name="Enter").click()
        expect(page.get_by_role("alert")).to_have_text("This is another one.")
        page.get_by_label("The token that").fill(client.token or "")
        page.get_by_role("button", name="Enter").click()
        expect(page.locator("#model")).to_have_text("drawing")


def test_a_clip_is_saved_under_a_name_that_says_what_it_is(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        page.goto(f"http://127.0.0.1:{client.port}/")
        client.until_it_is("completed", client.create("Über: a/b!", seed=5)["id"])
        with page.expect_download() as download:
            page.get_by_role("link", name="Save").click()
        assert download.value.suggested_filename == "über-a-b-5.mp4"


def test_the_name_of_a_copy_has_whole_letters_and_no_seed_where_there_is_none(
    page: Page, tmp_path: Path
) -> None:
    still = np.zeros((1, 32, 32, 3), np.uint8)
    with serving(tmp_path) as client:
        prompt = "हिन्दी " + "𠀋" * 60
        media.save(tmp_path / "a.gif", still, 8, {"prompt": prompt})
        page.goto(f"http://127.0.0.1:{client.port}/")
        save = page.get_by_role("link", name="Save")
        expect(save).to_have_attribute("download", "हिन्दी-" + "𠀋" * 53 + ".gif")
