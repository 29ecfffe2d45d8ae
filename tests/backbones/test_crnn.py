"""The convolutional recurrent network takes any number of bands and frames."""

import pytest
import torch

from sktl.backbones import CRNN, make_backbone


@pytest.mark.parametrize("n_bands", [1, 7, 8, 40, 65])
@pytest.mark.parametrize("n_frames", [1, 2, 31])
def test_any_size_works(n_bands, n_frames):
    body = CRNN(n_bands)
    assert body(torch.ones(2, n_bands, n_frames)).shape == (2, 128)


def test_frames_are_halved_once_and_bands_by_each_convolution():
    body = CRNN(40)
    values = torch.zeros(2, 40, 30)
    shapes = []
    for block in body.blocks:
        values = block(values)
        shapes.append(tuple(values.shape))
    assert shapes == [(2, 16, 20, 15), (2, 32, 10, 15), (2, 64, 5, 15), (2, 15, 128)]


def test_order_in_time_matters_and_silence_after_the_end_does_not_hide_it():
    body = CRNN(8).eval()
    rising = torch.zeros(1, 8, 40)
    for band in range(8):
        rising[0, band, 5 * band : 5 * band + 5] = 1.0
    with torch.no_grad():
        assert not torch.allclose(body(rising), body(rising.flip(2)), atol=1e-3)


def test_a_bright_band_moves_the_frames_it_is_in():
    body = CRNN(8).eval()
    quiet = torch.zeros(1, 8, 40)
    loud = quiet.clone()
    loud[0, 3, 20:24] = 1.0
    with torch.no_grad():
        images = body.run_blocks(torch.cat([quiet, loud]), stop=1)
    moved = (images[0] != images[1]).any(0).any(0)
    frames = body.frames(images)
    assert frames.shape == (2, 20, 16)
    # Group normalisation looks at the whole image; most of the change is where the band is.
    difference = (frames[0] - frames[1]).abs().sum(1)
    assert moved[10:12].all()
    assert difference.argmax() in (10, 11)


def test_it_is_built_to_the_bands_of_the_rows():
    body = make_backbone("crnn", row_shape=(13, 9))
    assert type(body) is CRNN
    assert body(torch.zeros(2, 13, 9)).shape == (2, body.embedding_size)
