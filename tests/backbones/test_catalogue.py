"""The table of networks says what the networks are."""

import pandas as pd
import pytest

from sktl.backbones import available_backbones, list_backbones, make_backbone

SHAPES = {"cnn": (64, 96), "crnn": (64, 96), "gru": (64, 96), "mlp": (128,)}


def test_there_is_a_row_for_every_name():
    assert [row.name for row in list_backbones()] == available_backbones()


@pytest.mark.parametrize("row", list_backbones(), ids=lambda row: row.name)
def test_a_row_describes_the_network(row):
    body = make_backbone(row.name, weights=None, row_shape=SHAPES.get(row.name))
    assert row.parameters == sum(p.numel() for p in body.parameters())
    assert (row.blocks, row.embedding_size) == (len(body.blocks), body.embedding_size)
    assert (row.licence is None) == (row.source is None) == (row.name in SHAPES)


def test_the_table_can_be_read():
    header, *lines = repr(list_backbones()).splitlines()
    assert header.split() == [
        *("name", "parameters", "embedding_size", "input", "blocks", "licence", "source")
    ]
    column = header.index("blocks")
    assert lines[-1].startswith("yamnet ")
    assert lines[-1][column:].startswith("14 ")
    assert "clips, 16 kHz" in lines[-1]
    assert list(pd.DataFrame(list_backbones()).columns) == header.split()
