"""Drawing a digit, in a real browser: with mouse, touch and keyboard, and the answers are the library's."""

import numpy as np
import pytest
from tickets.chapters import drawing
from tickets.files import BOOK

RESULTS = BOOK / "results"
CARD, NETWORKS, SAMPLES = drawing.read(RESULTS)
KINDS = ("dense", *drawing.KINDS)
CSS = (BOOK / "_static/custom.css").read_text()
PAGE = (
    f'<!doctype html><html><head><meta charset="utf-8"><style>{CSS}</style></head><body>{drawing.page(RESULTS)}</body>'
)
SEEN = "() => [...document.querySelector('.draw').seen]"
INK = """() => {
  const paper = document.querySelector(".draw-paper");
  return [...paper.getContext("2d").getImageData(0, 0, 280, 280).data].filter((_, i) => i % 4 === 3);
}"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The page alone, from disk: it needs no network."""
    path = tmp_path_factory.mktemp("draw") / "draw.html"
    path.write_text(PAGE)
    return path.as_uri()


@pytest.fixture
def tab(chromium, file):
    """A function that opens it, with what goes wrong there."""
    contexts = []

    def open_page(**options):
        contexts.append(chromium.new_context(offline=True, **options))
        page = contexts[-1].new_page()
        page.wrong = []
        page.on("console", lambda m: page.wrong.append(m.text))
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.goto(file)
        return page

    yield open_page
    for context in contexts:
        context.close()


def centred(ink):
    """What MNIST would make of ink [280, 280], written anew: 20 x 20, centre of mass in the middle."""
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    part = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ratio = 20 / max(part.shape)
    sizes = [max(1, int(np.floor(n * ratio + 0.5))) for n in part.shape]

    def weights(cells, length):
        edges = np.arange(cells + 1) * length / cells
        pixels = np.arange(length)
        over = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
        return np.clip(over, 0, None) * cells / length

    small = weights(sizes[0], part.shape[0]) @ part @ weights(sizes[1], part.shape[1]).T
    mass, found = small.sum(), np.zeros((28, 28))
    at = [(small.sum(1 - axis) * (np.arange(n) + 0.5)).sum() / mass for axis, n in enumerate(sizes)]
    y, x = (min(max(int(np.floor(14 - middle + 0.5)), 0), 28 - n) for middle, n in zip(at, sizes, strict=True))
    found[y : y + sizes[0], x : x + sizes[1]] = small
    return found


def drawn_on(page):
    return np.array(page.evaluate(INK), float).reshape(280, 280) / 255


def seen_on(page):
    return np.array(page.evaluate(SEEN)).reshape(28, 28)


def shares(page):
    """[networks, digits] as the bars of the page have them."""
    read = "panels => panels.map(panel => [...panel.querySelectorAll('li')].map(bar => Number(bar.dataset.share)))"
    return np.array(page.locator(".draw-answers section").evaluate_all(read))


def stroke(page, *points):
    """One stroke of the mouse, in places of the paper."""
    around = page.locator(".draw-paper").bounding_box()
    (x, y), *rest = [(around["x"] + a, around["y"] + b) for a, b in points]
    page.mouse.move(x, y)
    page.mouse.down()
    for to in rest:
        page.mouse.move(*to, steps=6)
    page.mouse.up()


def library(image, level):
    """What the library says of an image [28, 28] in [0, 1]: probabilities [networks, digits]."""
    cell = drawing.ticket(drawing.STUDY, drawing.NETWORK).cell
    names = [kind if kind == "dense" else f"{kind}-{level}" for kind in KINDS]
    return np.stack([drawing.answers(cell, drawing.unpacked(NETWORKS[n])[0], 255 * image[None])[0] for n in names])


@pytest.mark.parametrize("place", range(len(drawing.LEVELS)))
def test_the_answers_on_the_samples_are_those_of_the_library(tab, place):
    page = tab()
    page.locator(".draw input").fill(str(place))
    for digit, image in enumerate(SAMPLES):
        page.get_by_role("button", name=f"sample {digit}", exact=True).click()
        np.testing.assert_allclose(shares(page), library(image / 255, drawing.LEVELS[place]), atol=1e-9)
        said = page.locator(".draw-answers section").evaluate_all("panels => panels.map(p => Number(p.dataset.said))")
        assert said == shares(page).argmax(1).tolist()
    assert page.wrong == []


def test_a_drawing_is_centred_as_mnist_is(tab):
    page = tab()
    stroke(page, (20, 20), (90, 25), (40, 120))
    seen = seen_on(page)
    np.testing.assert_allclose(seen, centred(drawn_on(page)), atol=1e-9)
    rows, columns = np.indices((28, 28)) + 0.5
    assert abs((seen * rows).sum() / seen.sum() - 14) <= 0.5
    assert abs((seen * columns).sum() / seen.sum() - 14) <= 0.5
    assert np.flatnonzero(seen.any(1)).size == 20
    np.testing.assert_allclose(shares(page), library(seen, 15), atol=1e-9)
    assert page.wrong == []


def test_a_seven_is_drawn_with_the_mouse_and_wiped(tab):
    page = tab()
    assert page.locator("button[aria-pressed=true]").count() == 1  # a sample stands there at first
    stroke(page, (70, 60), (200, 60), (130, 230))
    assert page.locator("button[aria-pressed=true]").count() == 0
    says = page.locator(".draw-says")
    assert says.get_attribute("aria-live") == "polite"
    assert "dense network: 7" in says.inner_text()
    assert "winning ticket: 7" in says.inner_text()
    alone = seen_on(page)
    stroke(page, (90, 150), (180, 150))  # a second stroke is added to the first
    assert seen_on(page).sum() > alone.sum()
    page.get_by_role("button", name="Clear").click()
    assert says.inner_text() == "Nothing is drawn yet."
    assert not seen_on(page).any()
    assert page.wrong == []


@pytest.mark.parametrize("kind", ["touch", "pen"])
def test_a_one_is_drawn_with_finger_and_pen(tab, kind):
    page = tab(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    around = page.locator(".draw-paper").bounding_box()
    x, y = around["x"] + 140, around["y"] + 40
    client = page.context.new_cdp_session(page)
    if kind == "touch":

        def send(what, **at):
            client.send("Input.dispatchTouchEvent", {"type": what, "touchPoints": [at] * bool(at)})

        send("touchStart", x=x, y=y)
        for down in range(20, 201, 20):
            send("touchMove", x=x, y=y + down)
        send("touchEnd")
    else:
        send = lambda what, down: client.send(  # noqa: E731
            "Input.dispatchMouseEvent",
            {
                "type": what,
                "x": x,
                "y": y + down,
                "button": "left",
                "buttons": 1,
                "clickCount": 1,
                "pointerType": "pen",
            },
        )
        send("mousePressed", 0)
        for down in range(20, 201, 20):
            send("mouseMoved", down)
        send("mouseReleased", 200)
    assert "winning ticket: 1" in page.locator(".draw-says").inner_text()
    assert page.evaluate("scrollY") == 0  # the finger draws, and moves no page
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.wrong == []


def test_samples_and_density_are_chosen_by_keyboard(tab):
    page = tab()
    page.locator(".draw-clear").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.ariaLabel") == "sample 2"  # the one that stands there
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    assert page.get_by_role("button", name="sample 3").get_attribute("aria-pressed") == "true"
    np.testing.assert_allclose(seen_on(page), SAMPLES[3] / 255)
    before = page.locator(".draw-says").inner_text()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")  # around
    assert page.evaluate("document.activeElement.ariaLabel") == "sample 9"
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    assert page.locator(".draw input").get_attribute("aria-valuetext") == "2.3 % of the weights"
    after = page.locator(".draw-says").inner_text()
    dense = library(SAMPLES[3] / 255, 17)[0].argmax()
    for said, kept in ((before, "3.6"), (after, "2.3")):
        assert said.startswith(f"dense network: {dense} (")
        assert f"At {kept} % of the weights winning ticket: " in said
    np.testing.assert_allclose(shares(page), library(SAMPLES[3] / 255, 17), atol=1e-9)
    assert page.wrong == []


def test_the_picture_shows_which_pixels_the_first_layer_reads(tab):
    """Of a blank page a pixel without kept weights is black, and the others are the brighter the more read them."""
    page = tab()
    page.locator(".draw-clear").click()
    look = """panel => [...panel.querySelector("canvas").getContext("2d").getImageData(0, 0, 28, 28).data]
      .filter((_, i) => i % 4 === 0)"""
    for kind in KINDS:
        red = np.array(page.locator(f"[data-kind={kind}]").evaluate(look))
        _, mask = drawing.unpacked(NETWORKS[kind if kind == "dense" else f"{kind}-15"])
        reads = mask["fc1.weight"].sum(0)
        np.testing.assert_allclose(red, 255 * 0.75 * np.minimum(1, reads / reads.mean() / 3), atol=0.51)
        assert (red[reads == 0] == 0).all()
