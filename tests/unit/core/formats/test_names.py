"""Names of items in other programs' folders lead back to the item."""

from __future__ import annotations

from pathlib import Path

from pspnet_core.project.formats.names import Matcher, flat_names, place_of
from pspnet_core.project.records import Item, Split


def item(key: str, page: int = 0) -> Item:
    return Item(key, Path(key.partition("#")[0]), page, Split.NONE, None, 3 if "#" in key else 1)


def test_pages_have_names_of_their_own_that_lead_back() -> None:
    items = [item("a/scan.tif"), item("a/scan.tif#2", 1), item("a/scan.tif#3", 2), item("a/other.tif")]
    assert place_of(items[2]).as_posix() == "none/a/scan_page3.tif"
    names = flat_names(items)
    assert names["a/scan.tif#2"] == "a_scan-page2".replace("-", "_")
    matcher = Matcher(items)
    assert matcher.find("a/scan.png") == ("a/scan.tif",)
    assert matcher.find("scan_page3.png") == ("a/scan.tif#3",)
    for one in items:
        for word in ("_", "-"):
            assert matcher.find(flat_names(items, word)[one.key] + ".png") == (one.key,)
