"""docs/PAPER.md leads to code that exists, and its table of presets is the code's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pspnet_core.models.config import LITES, PRESETS, PSPNetConfig

ROOT = Path(__file__).resolve().parents[4]
PAGE = (ROOT / "docs" / "PAPER.md").read_text(encoding="utf-8")


def _rows(heading: str) -> list[list[str]]:
    """Cells of the first table behind a heading, its header first."""
    lines = PAGE.partition(heading)[2].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return [rows[0], *rows[2:]]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:pspnet_core|tests)/[\w/.]+)`", PAGE))))
def test_files_that_the_page_names_exist(path: str) -> None:
    assert (ROOT / path).is_file()


def test_names_in_the_table_of_ideas_are_defined_in_their_files() -> None:
    for _, where, section in _rows("# From the paper")[1:]:
        source, folder = "", Path()
        for name in re.findall(r"`([\w/.]+)`", where):
            if name.endswith(".py"):
                path = ROOT / name if "/" in name else folder / name
                source, folder = path.read_text(encoding="utf-8"), path.parent
            else:
                assert re.search(rf"^(class|def) {name}\b|^\s+self\.{name} = ", source, re.MULTILINE), name
        number, anchor = re.fullmatch(r"\[(\d+)\]\(#(.+)\)", section).groups()
        headings = [re.sub(r"[^\w -]", "", h).replace(" ", "-").lower() for h in re.findall(r"^## (.+)$", PAGE, re.M)]
        assert anchor in headings
        assert anchor.startswith(number)


def test_the_table_of_presets_is_true() -> None:
    header, *rows = _rows("\n## Presets")
    assert [row[0].strip("`") for row in rows] == list(PRESETS)
    for row in rows:
        told = dict(zip(header, row, strict=True))
        config = PSPNetConfig.preset(told["preset"].strip("`"), 2)
        (aux,) = config.aux
        norms = [config.backbone_norm, config.head_norm]
        assert told["stem"] == ("–" if config.backbone in LITES else config.stem)
        assert told["dilation"] == config.dilation
        assert told["align_corners"] == ("yes" if config.align_corners else "no")
        assert told["bins"] == ", ".join(map(str, config.bins))
        assert told["bin_channels"] == str(config.bin_channels)
        assert told["head_channels"] == str(config.head_channels)
        assert (told["aux channels"], told["aux weight"]) == (str(aux.channels), str(aux.weight))
        assert told["dropout_kind"] == config.dropout_kind
        assert told["norms"] == ", ".join(dict.fromkeys(norms))
        assert told["bn_momentum"] == str(config.bn_momentum)
        assert (config.dropout, aux.stage, set(config.bins)) == (0.1, 3, {1, 2, 3, 6})
