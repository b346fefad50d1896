"""The 3D viewer: arrays that come out of the packing as they went in, and a stage that a visitor can turn."""

import base64
import json
import re
import zlib
from io import BytesIO

import numpy as np
import pytest

pytest.importorskip("gradio")

import gradio as gr

from genlab import ui, viz
from genlab.ui.viewer import packed


def sphere(radius: float = 0.5, rings: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and outward faces of a ball: `rings` circles of twice as many points, the poles among them."""
    around = 2 * rings
    polar, turn = np.meshgrid(np.linspace(0, np.pi, rings + 1), np.arange(around) * 2 * np.pi / around, indexing="ij")
    x = np.stack([np.sin(polar) * np.sin(turn), np.cos(polar), np.sin(polar) * np.cos(turn)], axis=-1)
    i, j = np.meshgrid(np.arange(rings), np.arange(around), indexing="ij")
    a, b = i * around + j, i * around + (j + 1) % around
    faces = np.stack([a, a + around, b, b, a + around, b + around], axis=-1).reshape(-1, 3)
    return radius * x.reshape(-1, 3), faces


def body(count: int = 13_000, directions: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As large as a body, and directions as dense as those that a principal component analysis gives."""
    vertices, faces = sphere(0.9, int(np.sqrt(count / 2)))
    rng = np.random.default_rng(0)
    waves = np.sin(vertices @ rng.normal(0, 6, (3, 30)) + rng.uniform(0, 6, 30))
    return vertices, faces, 0.01 * np.einsum("vw,kwc->kvc", waves, rng.normal(size=(directions, 30, 3)))


VERTICES, FACES = sphere()
SIDES = np.where(VERTICES[:, :1] > 0, [[230, 20, 20]], [[20, 20, 230]]).astype(np.uint8)  # red to the right, else blue


def unpacked(text: dict) -> np.ndarray:
    """What viewer.js makes of it."""
    kind = np.dtype(text["type"])
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text["data"])), np.uint8)
    steps = np.ascontiguousarray(planes.reshape(kind.itemsize, -1).T).view(kind).reshape(-1, text["shape"][-1])
    return np.cumsum(steps, axis=0, dtype=kind).reshape(text["shape"])


# -- packing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.int16, np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("shape", [(7, 3), (2, 5, 3), (1, 2), (0, 2)])
def test_packed_integers_come_back_exactly(kind, shape):
    info = np.iinfo(kind)
    array = np.random.default_rng(0).integers(info.min, info.max, shape, kind, endpoint=True)
    assert np.array_equal(unpacked(packed(array)), array)


def test_the_error_of_a_vertex_is_a_65000th_of_the_extent():
    vertices = np.random.default_rng(0).uniform([-1, 10, 0], [1, 14, 0.1], (500, 3))
    item = ui.Scene("").mesh("a", vertices, [[0, 1, 2]]).items["a"]["vertices"]
    back = unpacked(item) * item["scale"] + item["middle"]
    assert np.abs(back - vertices).max() <= np.ptp(vertices, axis=0).max() / 65_534 * 0.5001


def test_each_direction_has_its_own_scale():
    vertices, faces = sphere(rings=4)
    directions = np.random.default_rng(0).normal(size=(3, len(vertices), 3)) * np.array([1, 1e-3, 0])[:, None, None]
    item = ui.Scene("").mesh("a", vertices, faces, directions=directions).items["a"]
    back = unpacked(item["directions"]) * np.array(item["directions"]["scale"])[:, None, None]
    error = np.abs(back - directions).max(axis=(1, 2))
    assert (error <= np.abs(directions).max(axis=(1, 2)) / 65_534 * 1.0001).all() and item["weights"] == [0, 0, 0]


def test_a_body_with_ten_directions_is_light_and_a_pose_of_it_lighter():
    vertices, faces, directions = body()
    assert abs(len(vertices) - 13_000) < 300
    scene = ui.Scene("A body.").mesh("body", vertices, faces, directions=directions)
    assert len(json.dumps(scene.value())) <= 1_200_000
    assert len(json.dumps(ui.Scene.update({"body": {"vertices": vertices, "weights": np.zeros(10)}}))) <= 105_000


def test_tensors_of_any_kind_are_welcome():
    import torch

    vertices = torch.tensor(VERTICES, dtype=torch.float32, requires_grad=True)
    scene = ui.Scene("").mesh("a", vertices, torch.tensor(FACES)).points("b", vertices.detach().bfloat16())
    assert scene.items["a"]["faces"]["type"] == "u2" and scene.items["b"]["pairs"]["shape"] == [0, 2]


def test_many_vertices_take_wider_indices():
    vertices = np.zeros((70_000, 3))
    assert ui.Scene("").mesh("a", vertices, [[0, 1, 69_999]]).items["a"]["faces"]["type"] == "u4"


HOLE = np.where(np.arange(len(VERTICES))[:, None] == 5, np.nan, VERTICES)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: ui.Scene("").mesh("a", HOLE, FACES), "vertices of 'a': 3 of .* not finite"),
        (lambda: ui.Scene("").mesh("a", VERTICES[:, :2], FACES), r"vertices of 'a' .* shape \(V, 3\), not"),
        (lambda: ui.Scene("").mesh("a", "a ball", FACES), "vertices of 'a' are numbers of shape"),
        (lambda: ui.Scene("").mesh("a", VERTICES * 1e9, FACES), "the page takes up to 1e"),
        (lambda: ui.Scene("").mesh("a", VERTICES[:0], FACES[:0]), "0 of them, the page takes 1 to 500,000"),
        (lambda: ui.Scene("").points("a", np.zeros((500_001, 3))), "500001 of them, the page takes 1 to 500,000"),
        (lambda: ui.Scene("").mesh("a", VERTICES, FACES.astype(float)), r"faces of 'a' are integers of shape \(n, 3\)"),
        (lambda: ui.Scene("").mesh("a", VERTICES, FACES + 1), f"there are 0 to {len(VERTICES) - 1}"),
        (lambda: ui.Scene("").mesh("a", VERTICES, FACES - 1), "faces of 'a' speak of vertices -1 to"),
        (lambda: ui.Scene("").mesh("a", VERTICES, FACES, colors=SIDES[1:]), "colors of 'a' are for"),
        (lambda: ui.Scene("").mesh("a", VERTICES, FACES, colors=SIDES / 255), "colors of 'a' are uint8"),
        (lambda: ui.Scene("").mesh("a", VERTICES, FACES, color="red"), "#rrggbb"),
        (lambda: ui.Scene("").mesh("a", VERTICES, FACES, opacity=np.nan), "opacity: 1 of 1"),
        (lambda: ui.Scene("").mesh("a", VERTICES, FACES, at=(0, 0)), r"at of 'a' are numbers of shape \(3,\)"),
        (lambda: ui.Scene("").mesh("a", VERTICES, FACES, directions=VERTICES), r"directions of 'a' .* \(K, V, 3\)"),
        (lambda: ui.Scene("").mesh("a", VERTICES, FACES, directions=VERTICES[None, 1:]), "directions of 'a' are for"),
        (lambda: ui.Scene("").mesh("a", VERTICES, FACES, weights=[1]), "one weight for each of its directions"),
        (lambda: ui.Scene("").skeleton("a", VERTICES, [[0, 1, 2]]), r"pairs of 'a' .* shape \(n, 2\)"),
        (lambda: ui.Scene("").points("a", VERTICES).points("a", VERTICES), "'a' is empty or taken"),
        (lambda: ui.Scene("", fallback="https://example.org/x.png"), "data URI"),
        (lambda: ui.Scene("", yaw=np.inf), "yaw: 1 of 1"),
        (lambda: ui.Scene.update({"a": {"vertices": HOLE}}), "vertices of 'a': 3 of"),
        (lambda: ui.Scene.update({"a": {"weights": [[1]]}}), r"weights of 'a' are numbers of shape \(K,\)"),
    ],
)
def test_a_wrong_array_is_named_with_what_is_wrong(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        wrong()


def test_two_equal_updates_are_two_values():
    """The page is told of a change only, and a slider may have moved the mesh in between."""
    first, second = (ui.Scene.update({"a": {"weights": [0]}}) for _ in range(2))
    assert first != second and first["update"] == second["update"]


def test_a_name_cannot_leave_the_script_it_is_written_into():
    script = ui.Scene.blending('"}); alert(1); </script>')
    assert r"\"}); alert(1); \u003c/script>" in script


# -- in the browser --------------------------------------------------------------------------------------------------

SENT = []  # what the next click on Send brings
SIZE = {"width": 640, "height": 560}
COUNT = """
window.buffers = 0;
const gl = WebGL2RenderingContext.prototype;
const [made, gone] = [gl.createBuffer, gl.deleteBuffer];
gl.createBuffer = function () { window.buffers++; return made.call(this); };
gl.deleteBuffer = function (it) { if (it) window.buffers--; return gone.call(this, it); };
"""
NO_WEBGL = """
const real = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
  return kind === "webgl2" ? null : real.call(this, kind, ...more);
};
"""


def ball(name: str = "ball", **kwargs) -> ui.Scene:
    """A ball, red to the right and blue to the left, that swells with its first weight and rises with its second."""
    up = np.broadcast_to([0, 1.0, 0], VERTICES.shape)
    kwargs = {"colors": SIDES, "directions": np.stack([VERTICES, up])} | kwargs
    return ui.Scene("A ball of radius 0.5 m.", name=name, yaw=0, pitch=0, floor=False).mesh(
        "ball", VERTICES, FACES, **kwargs
    )


@pytest.fixture(scope="module")
def address():
    with gr.Blocks() as app, ui.page("Viewer", "A ball to turn.", "body"):
        send, shown = gr.Button("Send"), gr.Checkbox(True, label="Shown")
        sliders = [gr.Slider(-1, 1, 0, step=0.1, label=name) for name in ("swell", "rise")]
        view = ui.viewer(ball().value("Ready."))
        send.click(lambda: SENT.pop(0), None, view)
        shown.change(lambda there: gr.update(visible=there), shown, view)
        for slider in sliders:
            slider.input(None, sliders, None, js=ui.Scene.blending("ball"), queue=False)
    app.launch(prevent_thread_lock=True, quiet=True, **ui.look())
    yield app.local_url
    app.close()


@pytest.fixture
def visit(browser, address):
    """visit(scripts, ...): the page with a picture on its stage, a silent console, and no other host asked."""
    troubles, pages = [], []

    def at(*scripts: str, silent: bool = True, **kwargs):
        page = browser.new_page(**({"viewport": SIZE} | kwargs))
        pages.append(page)
        page.set_default_timeout(90_000)
        page.on("console", lambda m: troubles.append(m.text) if m.type == "error" and silent else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else troubles.append(r.url))
        for script in scripts:
            page.add_init_script(script)
        page.goto(address, wait_until="domcontentloaded")
        page.locator(".gl-view[data-state=done]").wait_for()
        return page

    yield at
    for page in pages:
        page.close()
    assert troubles == []


STILL = """async () => {
  const stage = document.querySelector('.gl-view');
  let before;
  do {
    before = stage.dataset.frames;
    for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
  } while (before !== stage.dataset.frames || stage.dataset.rough);
}"""


def seen(page) -> np.ndarray:
    """The stage as (h, w, 3) once nothing moves there: drawn, and shown by a browser that may be a picture behind."""
    from PIL import Image

    last = None
    while True:
        page.evaluate(STILL)
        picture = np.asarray(Image.open(BytesIO(page.locator(".gl-orbit").screenshot())).convert("RGB")).astype(int)
        if last is not None and np.array_equal(picture, last):
            return picture
        last = picture


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """But for the rim, where focus and a hint may show."""
    return bool((a[40:-40, 8:-8] == b[40:-40, 8:-8]).all())


def red(picture: np.ndarray) -> np.ndarray:
    return picture[..., 0] > picture[..., 2] + 50


def blue(picture: np.ndarray) -> np.ndarray:
    return picture[..., 2] > picture[..., 0] + 50


def ink(picture: np.ndarray) -> np.ndarray:
    return np.ptp(picture, axis=-1) > 50


def middle(mask: np.ndarray) -> np.ndarray:
    """Row and column of the middle of what a mask covers."""
    return np.argwhere(mask).mean(axis=0)


def camera(page) -> list[float]:
    """yaw, pitch, zoom, and how far the camera was moved aside (x, y, z)."""
    seen(page)
    return [float(word) for word in page.locator(".gl-view").get_attribute("data-camera").split()]


def frames(page) -> int:
    return int(page.locator(".gl-view").get_attribute("data-frames"))


def send(page, value, state: str = "done") -> str:
    """Let the server send a value; the sentence below the stage."""
    SENT.append(value)
    page.evaluate("document.querySelector('.gl-view').removeAttribute('data-state')")
    page.get_by_role("button", name="Send").click()
    page.locator(f".gl-view[data-state={state}]").wait_for()
    return page.locator(".gl-view .gl-status").inner_text()


def blend(page, weights, name: str = "ball") -> None:
    page.evaluate(
        "([mesh, weights]) => document.dispatchEvent(new CustomEvent('gl-blend', { detail: { mesh, weights } }))",
        [name, weights],
    )


def drag(page, right: int, down: int, button: str = "left") -> None:
    box = page.locator(".gl-orbit").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down(button=button)
    page.mouse.move(x + right, y + down, steps=3)
    page.mouse.up(button=button)


@pytest.mark.browser
def test_the_mesh_is_drawn_where_it_should_be_and_as_large(visit):
    page = visit()
    assert page.locator(".gl-view").get_attribute("data-painter") == "webgl2", "no flag is needed for it"
    picture = seen(page)
    height, width = picture.shape[:2]
    assert np.abs(middle(ink(picture)) - [height / 2, width / 2]).max() < 3, "in the middle"
    assert middle(red(picture))[1] > width / 2 + 20 > middle(blue(picture))[1] + 40, "x is to the right"
    t = np.tan(np.radians(14)) / 1.1
    far = 0.5 + 0.5 / (t * min(1, width / height))  # at which the box around the ball fills the stage but for a margin
    radius = np.tan(np.arcsin(0.5 / far)) * height / (2 * np.tan(np.radians(14)))
    assert ink(picture).sum() == pytest.approx(np.pi * radius**2, rel=0.03)
    assert page.locator(".gl-orbit").get_attribute("aria-label") == "A ball of radius 0.5 m."
    assert page.locator(".gl-view .gl-status").inner_text() == "Ready."


def limb():
    """A ball in SMPL's form: joints inside it in a row, weights that fall off, and bends of all kinds."""
    import torch

    from genlab.models.body import SMPL, SMPLConfig

    generator = torch.Generator().manual_seed(0)
    V, J = len(VERTICES), 4
    body = SMPL(SMPLConfig(vertices=V, faces=len(FACES), betas=2, parents=(-1, 0, 1, 1), bending=2))
    v = torch.tensor(VERTICES, dtype=torch.float32)
    spots = torch.tensor([[0.0, -0.3, 0], [0, -0.1, 0], [0, 0.2, 0], [0.2, 0.1, 0]])
    near = torch.exp(-12 * torch.cdist(v, spots) ** 2)
    ring = torch.softmax(-40 * torch.cdist(spots, v), dim=1)
    state = {
        "v_template": v,
        "shapedirs": torch.stack([v, v[:, [1, 2, 0]]], dim=2) * 0.3,
        "posedirs": 0.1 * v[:, :, None, None] * torch.randn(V, 3, 2, 9, generator=generator).cumsum(0) / V**0.5,
        "J_regressor": ring,
        "weights": near / near.sum(1, keepdim=True),
        "faces": torch.tensor(FACES, dtype=torch.int32),
        "bends": torch.stack([torch.arange(V) % 3, (torch.arange(V) + 1) % 3], dim=1).to(torch.uint8),
    }
    body.load_state_dict(state, assign=True)
    return body, torch.randn(1, 2, generator=generator), 0.5 * torch.randn(1, J, 3, generator=generator)


@pytest.mark.browser
@pytest.mark.parametrize("left_out", [None, "shape", "bend", "skin"])
def test_a_rig_follows_the_law(visit, left_out):
    """The page's own skinning draws what the model computes, with every step and without each of them."""
    import torch

    body, betas, turns = limb()
    argument = {"shape": "shape_blend", "bend": "pose_blend", "skin": "skinning", None: "shape_blend"}[left_out]
    with torch.no_grad():
        there = body(betas, turns, **{argument: left_out is None}).vertices[0].numpy()
    there = there - [0, there[:, 1].min(), 0]
    page, look = visit(), {"yaw": 20, "pitch": 10, "box": [[-0.7, 0, -0.7], [0.7, 1.3, 0.7]], "floor": False}
    send(page, ui.Scene("", name="law", **look).mesh("limb", there, FACES, colors=SIDES).value())
    wanted = seen(page)
    directions = np.moveaxis(body.shapedirs.numpy(), 2, 0)
    rig = {"rig": ui.Rig.of(body, bending=False, betas=2), "directions": directions, "colors": SIDES}
    send(page, ui.Scene("", name="rig", **look).mesh("limb", VERTICES, FACES, **rig).value())
    send(page, ui.Scene.update({"limb": {"rig": ui.Rig.of(body, betas=2)}}))
    steps = {"shape": True, "bend": True, "skin": True} | ({left_out: False} if left_out else {})
    order = {"mesh": "limb", "weights": betas[0].tolist(), "pose": turns.flatten().tolist(), "steps": steps}
    page.evaluate("detail => document.dispatchEvent(new CustomEvent('gl-blend', { detail }))", order)
    picture = seen(page)
    assert ink(picture).sum() > 2_000
    assert (np.abs(picture - wanted).max(axis=-1) > 40).sum() < 60, "but for single pixels along the rim"


@pytest.mark.browser
def test_nothing_is_drawn_while_nothing_changes(visit):
    page = visit()
    seen(page)
    before = frames(page)
    page.wait_for_timeout(500)
    assert frames(page) == before


@pytest.mark.browser
def test_dragging_turns_it_by_a_fixed_angle(visit):
    page = visit()
    first = seen(page)
    drag(page, 150, 0)
    assert camera(page)[:2] == pytest.approx([-60, 0]), "0.4 degrees a pixel: what is grabbed follows the hand"
    turned = seen(page)
    assert red(turned).sum() < 0.5 * red(first).sum(), "seen from the left, where it is blue"
    drag(page, 0, 500)
    assert camera(page)[1] == 89, "not over the pole"


@pytest.mark.browser
def test_zoom_pan_reset_and_keys(visit):
    page = visit()
    home = camera(page)
    size = (~(seen(page) > 200).all(-1)).sum()
    page.locator(".gl-orbit").hover()
    page.wait_for_timeout(600)  # the page may have scrolled to it, and a page that is being scrolled goes on scrolling
    page.mouse.wheel(0, -400)
    page.wait_for_function("() => document.querySelector('.gl-view').dataset.camera.split(' ')[2] < 0.9")
    assert camera(page)[2] == pytest.approx(np.exp(-0.6), abs=1e-3)
    assert (~(seen(page) > 200).all(-1)).sum() > 1.5 * size
    page.locator(".gl-orbit").dblclick()
    assert camera(page) == home
    at = middle(ink(seen(page)))
    drag(page, 60, -30, button="right")
    assert middle(ink(seen(page))) - at == pytest.approx([-30, 60], abs=4), "it stays under the hand"
    page.keyboard.press("0")
    assert camera(page) == home
    for key, change in {"ArrowRight": [5, 0], "ArrowUp": [5, 5], "ArrowLeft": [0, 5], "ArrowDown": [0, 0]}.items():
        page.keyboard.press(key)
        assert camera(page)[:2] == change
    page.keyboard.press("+")
    assert camera(page)[2] == pytest.approx(0.9)
    page.keyboard.press("-")
    assert camera(page)[2] == pytest.approx(1)


@pytest.mark.browser
def test_two_fingers_zoom_and_move(visit):
    page = visit()
    page.evaluate(
        """() => { const stage = document.querySelector(".gl-orbit"), box = stage.getBoundingClientRect();
          stage.setPointerCapture = () => {};
          const at = (name, pointerId, x) => stage.dispatchEvent(new PointerEvent(name,
            { pointerId, pointerType: "touch", clientX: box.x + 200 + x, clientY: box.y + 150, bubbles: true }));
          at("pointerdown", 1, -40); at("pointerdown", 2, 40);
          at("pointermove", 1, -80); at("pointermove", 2, 80);
          at("pointerup", 1, -80); at("pointerup", 2, 80); }"""
    )
    yaw, pitch, zoom, *aside = camera(page)
    assert (yaw, pitch) == (0, 0) and zoom == pytest.approx(0.5) and aside == pytest.approx([0, 0, 0], abs=0.1)


@pytest.mark.browser
def test_a_page_that_is_being_scrolled_goes_on_scrolling(visit):
    page = visit()
    page.evaluate("document.body.style.minHeight = '3000px'")
    page.mouse.move(320, 300)
    page.evaluate(  # as it is, whenever the wheel's word comes
        "addEventListener('wheel', () => dispatchEvent(new Event('scroll')), { capture: true, passive: true })"
    )
    page.mouse.wheel(0, 100)
    page.wait_for_function("() => scrollY > 0")
    assert camera(page)[2] == 1


@pytest.mark.browser
def test_an_event_of_the_page_blends(visit):
    page = visit()
    before = seen(page)
    blend(page, [0.2, 0])
    swollen = seen(page)
    assert ink(swollen).sum() == pytest.approx(1.46 * ink(before).sum(), rel=0.04)
    blend(page, {1: 0.25})
    assert middle(red(seen(page)))[0] < middle(red(swollen))[0] - 30, "the first weight stays where it was"
    blend(page, [0, 0])
    assert same(seen(page), before), "exactly back"
    count = frames(page)
    blend(page, [1, 1], name="another stage's")
    assert same(seen(page), before) and frames(page) == count


@pytest.mark.browser
def test_normals_follow_the_blend(visit):
    """A ball squeezed into an upright disc that faces the light shows one even tone."""
    page = visit()
    squeeze = -VERTICES * [0, 0, 1.0]
    send(page, ball("flat", colors=None, color="#808080", directions=squeeze[None]).value())
    inner = np.s_[120:-120, 220:-220, 0]
    round_ = seen(page)[inner]
    blend(page, [0.98])
    assert np.ptp(round_) > 4 * np.ptp(seen(page)[inner])


@pytest.mark.browser
def test_a_slider_blends_without_the_server(visit):
    page = visit()
    before, asked, drawn = seen(page), [], frames(page)
    page.on("request", lambda request: asked.append(request.url))
    slider = page.get_by_role("slider", name="range slider for swell")
    slider.focus()
    for _ in range(3):
        slider.press("ArrowRight")
    page.wait_for_function("drawn => document.querySelector('.gl-view').dataset.frames > drawn", arg=drawn)
    now = seen(page)
    assert red(now).sum() > 1.5 * red(before).sum() and asked == []


WATCH = """
globalThis.drawn = []; globalThis.sent = []; globalThis.shadows = 0;
const { drawElements, bufferData, bufferSubData, texImage2D } = WebGL2RenderingContext.prototype;
Object.assign(WebGL2RenderingContext.prototype, {
  texImage2D(...all) { shadows++; return texImage2D.apply(this, all); },
  drawElements(mode, count, ...more) { drawn.push(count); return drawElements.call(this, mode, count, ...more); },
  bufferData(...all) { note(all[1]); return bufferData.apply(this, all); },
  bufferSubData(...all) { note(all[2]); return bufferSubData.apply(this, all); },
});
function note(data) { if (data instanceof Float32Array) sent.push(Array.from(data)); }
"""
STRAIN = """async (steps) => {
  const view = document.querySelector(".gl-view"), seen = [];
  for (const orders of steps) {
    sent.length = 0;
    for (const detail of orders) document.dispatchEvent(new CustomEvent("gl-blend", { detail }));
    for (const began = performance.now(); performance.now() - began < 60; ); // the page is busy
    await new Promise(requestAnimationFrame);
    seen.push([view.dataset.rough, view.querySelector("canvas").width, drawn.at(-1), [...sent], shadows]);
  }
  sent.length = 0;
  return seen;
}"""


@pytest.mark.browser
def test_a_slow_machine_draws_each_change_roughly_at_first(visit):
    """Pictures come late for a while: fewer pixels and the coarse triangles, until all has come to rest."""
    page = visit(WATCH)
    coarse = sphere(rings=24)[1][::7]
    bump = np.where(VERTICES[:, 1:2] > 0, 0.2 * VERTICES, 0)[None]
    send(page, ui.Scene("A ball.").mesh("ball", VERTICES, FACES, coarse=coarse, directions=bump, colors=SIDES).value())
    before, wide = seen(page), page.evaluate("document.querySelector('.gl-view canvas').width")
    rough = page.evaluate(STRAIN, [[{"mesh": "ball", "weights": [i / 20]}] for i in range(20)])
    rough = [[width, count] for is_rough, width, count, *_ in rough if is_rough]
    assert rough and [count for _, count in rough] == [coarse.size] * len(rough)
    assert rough[0][0] == pytest.approx(0.7 * wide, abs=1)
    page.locator(".gl-view[data-rough='']").wait_for()
    assert page.evaluate("drawn.at(-1)") == FACES.size, "at rest all is drawn"
    ((rough, *_),) = page.evaluate(STRAIN, [[{"mesh": "ball", "weights": [0.0]}]])
    assert rough, "one change is seen at once, too"
    page.locator(".gl-view[data-rough='']").wait_for()
    assert same(seen(page), before)
    shadows = page.evaluate("shadows")
    ((rough, *_, thrown),) = page.evaluate(STRAIN, [[{"mesh": "ball", "box": [[-3, -1, -3], [3, 3, 3]]}]])
    assert rough and thrown == shadows + 1, "a shadow may lag, but not lie in another view"


LOWER = VERTICES[FACES][..., 1].max(axis=1) < -0.2


@pytest.mark.browser
@pytest.mark.parametrize(
    ("coarse", "turned"),
    [(np.concatenate([FACES[LOWER], FACES[~LOWER][::25]]), 1), (FACES[~LOWER][::25], 0)],
    ids=["posed", "on vertices that the coarse triangles lack"],
)
def test_few_vertices_are_where_all_would_be(visit, coarse, turned):
    """A body, a copy and the bones, drawn roughly: nothing sinks or jumps when all of it is drawn again."""
    import torch

    body, betas, turns = limb()
    shapes = [betas[0].tolist() if turned else [0.5, 0.0], [0.3, -0.2 * turned]]
    poses = [turned * turns, 0.5 * turned * turns]
    few = np.unique(np.append(coarse, np.flatnonzero(VERTICES[:, 1] < -0.5 + 1 / 300)))
    assert len(few) < 0.75 * len(VERTICES)
    look = {"rig": ui.Rig.of(body, betas=2), "directions": np.moveaxis(body.shapedirs.numpy(), 2, 0)}
    scene = ui.Scene("", name="few").mesh("limb", VERTICES, FACES, coarse=coarse, colors=SIDES, **look)
    scene.copy("copy", "limb", at=(1.2, 0, 0), label="copy").bones("bones", "limb")
    page = visit(WATCH)
    send(page, scene.value())

    def orders(much: float) -> list[dict]:
        return [
            {"mesh": name, "weights": [much * w for w in shape], "pose": (much * pose).flatten().tolist()}
            for name, shape, pose in zip(("limb", "copy"), shapes, poses, strict=True)
        ]

    steps = page.evaluate(STRAIN, [orders(i / 19) for i in range(20)])
    assert steps[-1][0] == "1" and steps[-1][2] == coarse.size
    rough = [np.array(array) for array in steps[-1][3]]
    seen(page)
    full = [np.array(array) for array in page.evaluate("sent.slice(-5)")]
    for arrays, count in ((rough, len(few)), (full, len(VERTICES))):
        assert [len(array) for array in arrays[:2] + arrays[2:4]] == [3 * count] * 4, "points and normals of each"
    for n, (shape, pose) in enumerate(zip(shapes, poses, strict=True)):
        with torch.no_grad():
            there = body(torch.tensor([shape]), pose).vertices[0].numpy()
        points, normals, exact = (
            rough[2 * n].reshape(-1, 3),
            rough[2 * n + 1].reshape(-1, 3),
            full[2 * n].reshape(-1, 3),
        )
        assert exact == pytest.approx(there - [0, there[:, 1].min(), 0], abs=2e-4), "the law"
        assert points == pytest.approx(exact[few], abs=1e-6)
        corners = exact[coarse]
        across, sums = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), np.zeros_like(exact)
        np.add.at(sums, coarse, across[:, None])
        assert normals == pytest.approx(sums[few], abs=1e-6)
    assert rough[4] == pytest.approx(full[4], abs=1e-6), "the bones too"
    assert page.evaluate("drawn.at(-1)") == FACES.size


@pytest.mark.browser
def test_an_update_keeps_the_camera_and_all_else(visit):
    page = visit()
    drag(page, -40, 20)
    page.keyboard.press("+")
    here, before = camera(page), seen(page)
    egg = {"vertices": VERTICES * [0.5, 1, 0.5]}
    said = send(page, ui.Scene.update({"ball": egg}, alt="An egg.", status="An egg."))
    assert camera(page) == here and said == "An egg."
    egg = seen(page)
    assert red(egg).sum() < 0.7 * red(before).sum() and blue(egg).any()
    assert page.locator(".gl-orbit").get_attribute("aria-label") == "An egg."
    send(page, ui.Scene.update({"ball": {"colors": SIDES[:, ::-1].copy()}}))
    assert np.abs(middle(red(seen(page))) - middle(blue(egg))).max() < 3
    assert page.locator(".gl-view .gl-status").inner_text() == "An egg.", "nothing new was said"
    send(page, ui.Scene.update({"ball": {"vertices": VERTICES, "colors": SIDES, "weights": [0, 0]}}))
    assert same(seen(page), before)


@pytest.mark.browser
def test_a_scene_of_the_same_name_keeps_the_camera(visit):
    page = visit()
    drag(page, 50, 0)
    here = camera(page)
    send(page, ball().value())
    assert camera(page) == here
    send(page, ball("another").value())
    assert camera(page)[0] == 0


@pytest.mark.browser
def test_buffers_of_what_is_replaced_are_freed(visit):
    page = visit(COUNT)
    seen(page)
    held = page.evaluate("window.buffers")
    assert held == 4, "points, normals, faces, colours"
    for _ in range(3):
        send(page, ball().value())
        seen(page)
    assert page.evaluate("window.buffers") == held
    blend(page, [0.1, 0])
    seen(page)
    assert page.evaluate("window.buffers") == held


@pytest.mark.browser
def test_skeletons_points_and_labels_stand_side_by_side(visit):
    page = visit()
    scene = ui.Scene("Three things.", name="three", yaw=0, pitch=0)
    scene.mesh("glass", VERTICES, FACES, at=(-1.2, 0, 0), opacity=0.3, label="glass").skeleton(
        "bones", [[0, -0.5, 0], [0, 0.5, 0]], [[0, 1]], color="#e01010", at=(-1.2, 0, 0), size=0.1, width=0.05
    )
    scene.points("cloud", VERTICES, colors=SIDES, at=(1.2, 0, 0), size=0.05, label="<b>cloud</b>")
    scene.mesh("cube", *sphere(0.5, 2), color="#109010", smooth=False)
    send(page, scene.value("Three."))
    picture = seen(page)
    width = picture.shape[1]
    rod = red(picture[:, : width // 3])
    assert 100 < rod.sum() < 0.05 * rod.size, "seen through the glass"
    assert blue(picture[:, width // 2 :]).sum() > 100
    green = (picture[..., 1] > picture[..., 0] + 30) & (picture[..., 1] > picture[..., 2] + 30)
    assert green[:, width // 3 : -width // 3].sum() > 500
    tags = page.locator(".gl-tags span")
    assert tags.all_inner_texts() == ["glass", "<b>cloud</b>"], "words, not markup"
    boxes = [tag.bounding_box() for tag in tags.all()]
    assert boxes[0]["x"] < width / 3 < 2 * width / 3 < boxes[1]["x"] + boxes[1]["width"] / 2
    stage = page.locator(".gl-orbit").bounding_box()
    page.locator(".gl-orbit").focus()
    for _ in range(8):
        page.keyboard.press("+")
    seen(page)
    assert camera(page)[2] < 0.5, "so near that the tops have left it"
    for tag in tags.all():
        assert tag.bounding_box()["y"] == pytest.approx(stage["y"], abs=1.5)


@pytest.mark.browser
def test_a_veil_gives_way_to_the_solid_that_it_lies_on(visit):
    """And shows where it stands out."""
    page, pictures = visit(), []
    for veil in (None, 1, 1.00001, 1.1):
        scene = ball(str(veil))
        if veil:
            scene.mesh("veil", veil * VERTICES, FACES, opacity=0.5, color="#10c010")
        scene.about["box"] = [[-0.6] * 3, [0.6] * 3]
        send(page, scene.value("Ready."))
        pictures.append(seen(page))
    alone, on, hardly, out = pictures
    assert same(on, alone) and same(hardly, alone)
    assert (np.abs(out - alone).max(axis=-1) > 30).mean() > 0.1


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_stage_has_the_pages_colour_and_a_floor(visit, dark):
    page = visit(color_scheme="dark" if dark else "light")
    send(page, ui.Scene("A ball on the floor.", name="floor").mesh("ball", VERTICES, FACES).value())
    picture = seen(page)
    assert picture[2].mean() < 40 if dark else picture[2].mean() > 240
    lines = picture[-60:].mean(axis=-1)
    assert np.ptp(lines) > 15, "the grid, in the lower part"
    before = frames(page)
    page.get_by_role("button", name="Light / dark").click()
    other = seen(page)
    assert frames(page) > before and abs(other[2].mean() - picture[2].mean()) > 150


@pytest.mark.browser
def test_the_canvas_follows_the_page_and_the_screens_density(visit):
    page = visit(device_scale_factor=2)
    measure = "() => { const c = document.querySelector('.gl-orbit canvas'); return [c.width, c.clientWidth]; }"
    seen(page)
    drawn, laid = page.evaluate(measure)
    assert drawn == 2 * laid
    page.set_viewport_size({"width": 390, "height": 560})
    page.wait_for_function(f"() => ({measure})()[0] !== {drawn}")
    seen(page)
    drawn, laid = page.evaluate(measure)
    assert drawn == 2 * laid < 2 * 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    picture = ink(seen(page))
    assert not picture[:, :4].any() and not picture[:, -4:].any(), "all of it is still in view"


@pytest.mark.browser
def test_a_lost_context_comes_back(visit):
    page = visit()
    before = seen(page)
    page.evaluate(
        "() => { const gl = document.querySelector('.gl-orbit canvas').getContext('webgl2');"
        " window.lose = gl.getExtension('WEBGL_lose_context'); window.lose.loseContext(); }"
    )
    page.locator(".gl-view[data-state=error]").wait_for()
    assert "comes back" in page.locator(".gl-view .gl-status").inner_text()
    blend(page, [0, 0])
    page.evaluate("window.lose.restoreContext()")
    page.locator(".gl-view[data-state=done]").wait_for()
    assert same(seen(page), before)


@pytest.mark.browser
def test_a_hidden_stage_remembers_what_it_held(visit):
    page = visit()
    drag(page, 50, 0)
    send(page, ui.Scene.update({"ball": {"vertices": VERTICES * [0.5, 1, 0.5]}}, status="An egg."))
    here, before = camera(page), seen(page)
    context = page.evaluate_handle("document.querySelector('.gl-orbit canvas').getContext('webgl2')")
    page.get_by_label("Shown").click()
    page.locator(".gl-view").wait_for(state="detached")
    page.wait_for_function("gl => gl.isContextLost()", arg=context)  # a browser grants only so many
    page.get_by_label("Shown").click()
    page.locator(".gl-view[data-state=done][data-frames]").wait_for()
    assert camera(page) == here
    assert same(seen(page), before)


def damaged(path: str, put) -> dict:
    """The ball's value with something else at a place like items.0.at."""
    value = json.loads(json.dumps(ball("damaged").value()))
    *way, last = path.split(".")
    place = value
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[last] = put
    return value


def text_of(numbers: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(numbers.tobytes())).decode()


HOSTILE = {
    "words": "a ball",
    "number": 7,
    "list": [1, 2],
    "empty": {},
    "no items": damaged("items", None),
    "a null item": damaged("items", [None]),
    "no vertices": damaged("items.0.vertices", None),
    "short": damaged("items.0.vertices.data", text_of(np.zeros(9, np.int16))),
    "a bomb": damaged("items.0.vertices.data", text_of(np.zeros(20_000_000, np.uint8))),
    "not deflated": damaged("items.0.vertices.data", base64.b64encode(b"no such thing").decode()),
    "not base64": damaged("items.0.vertices.data", "§§§"),
    "enormous": damaged("items.0.vertices.shape", [10**9, 3]),
    "negative": damaged("items.0.vertices.shape", [-1, -3]),
    "a type of nobody": damaged("items.0.vertices.type", "constructor"),
    "NaN": damaged("items.0.vertices.scale", float("nan")),
    "beyond": damaged("items.0.vertices.scale", 1e300),
    "faces of nothing": damaged(
        "items.0.faces", {"type": "u2", "shape": [1, 3], "data": text_of(np.full(6, 255, np.uint8))}
    ),
    "few colours": damaged("items.0.colors", packed(SIDES[1:])),
    "few directions": damaged("items.0.directions.scale", [1.0]),
    "few weights": damaged("items.0.weights", [1.0]),
    "weights of NaN": damaged("items.0.weights", [float("nan"), 0.0]),
    "nowhere": damaged("items.0.at", ["<img src=x onerror=alert(1)>", 0, 0]),
    "no camera": damaged("view", [None, 0]),
    "nobody": ui.Scene.update({"<img src=x onerror=alert(1)>": {"weights": [1]}}),
    "update of few vertices": ui.Scene.update({"ball": {"vertices": VERTICES[1:]}}),
    "update of many weights": ui.Scene.update({"ball": {"weights": np.zeros(9)}}),
    "update of nothing": {"serial": -1, "update": {"ball": None}},
}


@pytest.mark.browser
def test_whatever_is_sent_the_stage_stays_and_says_what_is_wrong(visit):
    page = visit()
    before = seen(page)
    for name, value in HOSTILE.items():
        said = send(page, value, state="error")
        assert said.endswith("."), f"{name}: a sentence, not {said!r}"
        assert page.locator(".gl-view img").count() == 0
    assert same(seen(page), before)
    for weights in ([1], [1, None], {"2": 1}, {"length": 1}, {"0": "x"}, "words"):
        blend(page, weights)
        assert page.locator(".gl-view .gl-status").inner_text() == '"ball" takes 2 weights, all of them numbers.'
    blend(page, [0, 0])
    assert page.locator(".gl-view .gl-status").inner_text() == "Ready.", "and all is well again"
    assert same(seen(page), before)
    assert send(page, ui.Scene.message("Now <b>this</b>.", error=True), state="error") == "Now <b>this</b>."


@pytest.mark.browser
def test_without_webgl2_a_simpler_drawing_takes_its_place(visit):
    page = visit(NO_WEBGL)
    assert page.locator(".gl-view").get_attribute("data-painter") == "2d"
    said = page.locator(".gl-view .gl-status").inner_text()
    assert said == "Ready. This browser has no WebGL2, so you see a simpler drawing."
    first = seen(page)
    assert red(first).sum() > 5000 and middle(red(first))[1] > middle(blue(first))[1] + 50
    drag(page, 150, 0)
    assert red(seen(page)).sum() < 0.5 * red(first).sum(), "it turns too"
    scene = ui.Scene("Bones.", name="bones").skeleton("bones", [[0, 0, 0], [0, 1, 0]], [[0, 1]], color="#e01010")
    send(page, scene.value())
    assert red(seen(page)).sum() > 500


@pytest.mark.browser
def test_without_webgl2_the_scenes_own_picture_is_shown(visit):
    page = visit(NO_WEBGL)
    green = viz.data_uri(viz.png(np.full((8, 8, 3), [0, 200, 0], np.uint8)))
    value = ball("still").value("Ready.") | {"fallback": green}
    assert re.search("so you see a still picture", send(page, value))
    picture = seen(page)
    assert (picture[100:-100, 300:-300] == [0, 200, 0]).all()
