"""The handler: sources, targets, and what they may not be."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hermesd_resize_image.beneath import PathRefused, read_beneath, write_beneath
from hermesd_resize_image.handler import resize_image
from hermesd_resize_image.payload import Format, ResizePayload
from PIL import Image

from hermesd.handlers import JobContext, Permanent, Retry

Context = Callable[..., JobContext]
MakeImage = Callable[..., bytes]


def test_a_file_becomes_a_file(root: Path, context: Context, make_image: MakeImage) -> None:
    """The output replaces what was there, and nothing else is left in the folder."""
    (root / "in.png").write_bytes(make_image())
    (root / "out.jpg").write_bytes(b"old")
    payload = ResizePayload(
        source_path=str(root / "in.png"),
        output_path=str(root / "out.jpg"),
        width=100,
        format=Format.JPEG,
    )
    result = resize_image(payload, context())
    written = (root / "out.jpg").read_bytes()
    assert Image.open(io.BytesIO(written)).size == (100, 50)
    assert (result.width, result.height, result.bytes) == (100, 50, len(written))
    assert (result.path, result.base64) == (str(root / "out.jpg"), None)
    assert sorted(os.listdir(root)) == ["in.png", "out.jpg"]


def test_base64_goes_in_and_comes_back(context: Context, make_image: MakeImage) -> None:
    """No path is needed, so none has to be allowed."""
    raw = msgspec.json.encode({"source_base64": make_image(), "width": 100})
    payload = msgspec.json.decode(raw, type=ResizePayload)
    result = resize_image(payload, context(allowed_roots=[]))
    image = Image.open(io.BytesIO(base64.b64decode(result.base64 or "")))
    assert image.size == (100, 50)
    assert result.path is None


def test_a_result_over_its_limit_asks_for_a_path(context: Context, make_image: MakeImage) -> None:
    """A job's result is no place for a large file."""
    payload = ResizePayload(source_base64=make_image(), width=100)
    with pytest.raises(Permanent, match="give an `output_path`"):
        resize_image(payload, context(max_returned_bytes=50))


def test_without_allowed_roots_no_path_is_used(
    root: Path, context: Context, make_image: MakeImage
) -> None:
    """The message names the setting."""
    (root / "in.png").write_bytes(make_image())
    reading = ResizePayload(source_path=str(root / "in.png"), width=10)
    writing = ResizePayload(source_base64=b"", output_path=str(root / "out.png"), width=10)
    for payload in (reading, writing):
        with pytest.raises(Permanent, match=r"allowed_roots names no folder"):
            resize_image(payload, context(allowed_roots=[]))


def test_no_path_leads_out_of_the_roots(
    root: Path, context: Context, make_image: MakeImage
) -> None:
    """Neither dots nor links nor likeness of names, for reading as for writing."""
    outside = root.parent / "allowed-not"
    outside.mkdir()
    (outside / "secret.png").write_bytes(make_image())
    (root / "link.png").symlink_to(outside / "secret.png")
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to(root / "loop")
    paths = [
        f"{root}/../allowed-not/secret.png",
        f"{outside}/secret.png",
        f"{root}/link.png",
        f"{root}/folder/secret.png",
        f"{root}/loop",
        f"{root}/loop/x",
        f"{root}",
        "secret.png",
        f"{root}/\0.png",
        f"{root}/{'x' * 300}",
        f"{root}/absent/{'y' * 5}.png",
    ]
    before = (outside / "secret.png").read_bytes()
    for path in paths:
        with pytest.raises(Permanent, match="source_path"):
            resize_image(ResizePayload(source_path=path, width=10), context())
    for path in paths:
        payload = ResizePayload(source_base64=make_image(), output_path=path, width=10)
        with pytest.raises(Permanent, match="output_path"):
            resize_image(payload, context())
    assert (outside / "secret.png").read_bytes() == before
    assert os.listdir(outside) == ["secret.png"]


def test_a_link_within_the_roots_may_be_read(
    root: Path, context: Context, make_image: MakeImage
) -> None:
    """Where it leads counts, not that it is one; also a root may be a link."""
    (root / "in.png").write_bytes(make_image())
    (root / "link.png").symlink_to("in.png")
    alias = root.parent / "alias"
    alias.symlink_to(root)
    payload = ResizePayload(source_path=f"{alias}/link.png", width=100)
    assert resize_image(payload, context(allowed_roots=[str(alias)])).width == 100


def test_a_folder_swapped_for_a_link_after_the_check_is_not_followed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race: the path is resolved, then a folder in it becomes a link to elsewhere."""
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"secret")
    (root / "inner").mkdir()
    (root / "inner" / "file").write_bytes(b"fine")
    resolve = Path.resolve

    def resolve_then_swap(path: Path, strict: bool = False) -> Path:
        resolved = resolve(path, strict)
        if path.name == "file" and not (root / "inner").is_symlink():
            (root / "inner").rename(root / "moved")
            (root / "inner").symlink_to(outside)
        return resolved

    monkeypatch.setattr(Path, "resolve", resolve_then_swap)
    with pytest.raises(PathRefused, match="its folder cannot be opened"):
        read_beneath([str(root)], f"{root}/inner/file", 100)


def test_only_regular_files_are_read(root: Path, context: Context) -> None:
    """A FIFO would hang, a device would never end."""
    os.mkfifo(root / "fifo")
    (root / "folder").mkdir()
    for name in ("fifo", "folder"):
        with pytest.raises(Permanent, match="not a regular file"):
            resize_image(ResizePayload(source_path=f"{root}/{name}", width=10), context())


def test_a_folder_is_not_replaced_by_a_file(
    root: Path, context: Context, make_image: MakeImage
) -> None:
    """And no temporary file stays behind."""
    (root / "folder").mkdir()
    payload = ResizePayload(source_base64=make_image(), output_path=f"{root}/folder", width=10)
    with pytest.raises(Permanent, match="is a folder"):
        resize_image(payload, context())
    assert os.listdir(root) == ["folder"]


def test_a_failed_write_leaves_the_old_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rename comes last; what was written until then is removed."""
    (root / "out").write_bytes(b"old")

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_beneath([str(root)], f"{root}/out", b"new")
    assert os.listdir(root) == ["out"]
    assert (root / "out").read_bytes() == b"old"


@pytest.mark.parametrize("source", ["path", "base64", "url"])
def test_a_source_over_its_limit_is_refused(
    source: str, root: Path, context: Context, make_image: MakeImage, site: Any
) -> None:
    """Whatever it comes from."""
    data = make_image()
    (root / "in.png").write_bytes(data)
    site.serve("/in.png", data)
    choices: dict[str, dict[str, Any]] = {
        "path": {"source_path": str(root / "in.png")},
        "base64": {"source_base64": data},
        "url": {"source_url": site.url("/in.png")},
    }
    ctx = context(max_source_bytes=len(data) - 1, allow_private_addresses=True)
    with pytest.raises(Permanent, match="over the limit"):
        resize_image(ResizePayload(width=10, **choices[source]), ctx)


def test_an_image_is_fetched(site: Any, context: Context, make_image: MakeImage) -> None:
    """Also where a redirect leads to it."""
    site.serve("/moved", status=302, headers={"Location": "/in.png"})
    site.serve("/in.png", make_image())
    payload = ResizePayload(source_url=site.url("/moved"), width=100)
    result = resize_image(payload, context(allow_private_addresses=True))
    assert (result.width, result.height) == (100, 50)
    assert site.asked == ["/moved", "/in.png"]


def test_a_private_address_is_not_fetched_from(
    site: Any, context: Context, make_image: MakeImage
) -> None:
    """Not even asked."""
    site.serve("/in.png", make_image())
    for host in ("127.0.0.1", "localhost", "127.1", "[::ffff:127.0.0.1]"):
        url = f"http://{host}:{site.port}/in.png"
        with pytest.raises(Permanent, match="only public ones may be called"):
            resize_image(ResizePayload(source_url=url, width=10), context())
    assert site.asked == []


def test_a_redirect_to_a_private_address_is_not_followed(
    site: Any, context: Context, make_image: MakeImage
) -> None:
    """Only the host that is allowed is asked."""
    site.serve("/moved", status=302, headers={"Location": site.url("/in.png")})
    site.serve("/in.png", make_image())
    url = f"http://localhost:{site.port}/moved"
    with pytest.raises(Permanent, match=r"'127\.0\.0\.1' has a loopback address"):
        resize_image(ResizePayload(source_url=url, width=10), context(allowed_hosts=["localhost"]))
    assert site.asked == ["/moved"]


@pytest.mark.parametrize(
    ("status", "expected"), [(404, Permanent), (403, Permanent), (503, Retry), (429, Retry)]
)
def test_a_fetch_fails_by_its_status(
    status: int, expected: type[Exception], site: Any, context: Context
) -> None:
    """What the server may mend is tried again."""
    site.serve("/in.png", status=status)
    payload = ResizePayload(source_url=site.url("/in.png"), width=10)
    with pytest.raises(expected, match=f"answered {status}"):
        resize_image(payload, context(allow_private_addresses=True))


def test_a_bad_image_fails_for_good(context: Context) -> None:
    """Its bytes will not get better."""
    with pytest.raises(Permanent, match="no image of a known format"):
        resize_image(ResizePayload(source_base64=b"junk", width=10), context())


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"width": 1}, "exactly one"),
        ({"width": 1, "source_path": "/a", "source_url": "http://a"}, "exactly one"),
        ({"source_path": "/a"}, "give `width`"),
        ({"source_path": "/a", "width": 1, "mode": "fill"}, "needs both"),
        ({"source_path": "/a", "width": 0}, ">= 1"),
        ({"source_path": "/a", "width": 20000}, "<= 16383"),
        ({"source_path": "/a", "width": 1, "quality": 101}, "<= 100"),
        ({"source_path": "/a", "width": 1, "format": "tiff"}, "tiff"),
        ({"source_path": "/a", "width": 1, "colour": "red"}, "colour"),
    ],
)
def test_a_payload_that_contradicts_itself_is_refused(fields: dict[str, Any], reason: str) -> None:
    """When it is read, with the reason."""
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert(fields, ResizePayload)


def test_a_wrong_setting_is_named(context: Context) -> None:
    """An operator's mistake is told as such."""
    with pytest.raises(Permanent, match=r"plugins\.settings\.resize-image: .*absolute"):
        resize_image(ResizePayload(source_base64=b"", width=1), context(allowed_roots=["here"]))
