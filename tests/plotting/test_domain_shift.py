"""Maps of both domains with the distance between them."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sktl import MFCC, CORALTransformer, MMDAligner
from sktl.losses import mmd2
from sktl.plotting import DomainShiftDisplay


@pytest.fixture(autouse=True)
def figures_closed():
    yield
    plt.close("all")


@pytest.fixture
def data():
    X = np.random.default_rng(0).normal(size=(200, 4))
    y = np.where(X[:, 0] > 0, "yes", "no")
    X[100:] = 3 + 2 * X[100:]
    return X, y, np.repeat([1, -1], 100)


def test_maps_are_principal_components_and_titles_the_distances(data):
    X, y, sample_domain = data
    coral = CORALTransformer().fit(X, sample_domain=sample_domain)
    display = DomainShiftDisplay.from_estimator(coral, X, sample_domain, y=y)
    np.testing.assert_allclose(display.maps["before"], PCA(2).fit_transform(X))
    moved = coral.transform(X, sample_domain)
    np.testing.assert_allclose(display.maps["after"], PCA(2).fit_transform(moved))
    for name, rows in (("before", X), ("after", moved)):
        expected = mmd2(torch.from_numpy(rows[:100]), torch.from_numpy(rows[100:]))
        assert display.mmd[name] == pytest.approx(float(expected))
    assert display.a_distance["before"] > 1.5
    assert 0 <= display.a_distance["after"] < 0.5
    title = display.axes_[0].get_title()
    assert title.startswith(f"before: MMD² {display.mmd['before']:.3f}, A-distance")
    dots, crosses = display.points_["after"]
    np.testing.assert_allclose(dots.get_offsets(), display.maps["after"][:100])
    np.testing.assert_allclose(crosses.get_offsets(), display.maps["after"][100:])
    assert len(np.unique(dots.get_array())) == 2


def test_a_network_is_drawn_by_its_embedding_beside_another(data):
    X, y, sample_domain = data
    plain = MMDAligner(lambda_mmd=0.0, max_epochs=2, random_state=0).fit(X[:100], y[:100])
    adapted = MMDAligner(max_epochs=2, random_state=0).fit(X, y, sample_domain=sample_domain)
    display = DomainShiftDisplay.from_estimator(adapted, X, sample_domain, before=plain)
    rows = torch.from_numpy(np.asarray(adapted.transform(X), np.float64))
    assert display.mmd["after"] == pytest.approx(float(mmd2(rows[:100], rows[100:])))


def test_clips_need_an_estimator_for_what_was_before():
    clips = list(np.random.default_rng(0).normal(size=(12, 4000)).astype(np.float32) * 0.1)
    y, sample_domain = np.arange(12) % 2, np.repeat([1, -1], 6)
    pipe = make_pipeline(MFCC(), LogisticRegression(max_iter=1000)).fit(clips, y)
    with pytest.raises(ValueError, match="before=None, but X is no array of rows"):
        DomainShiftDisplay.from_estimator(pipe, clips, sample_domain)
    display = DomainShiftDisplay.from_estimator(pipe, clips, sample_domain, before=pipe[0])
    assert display.mmd["before"] == display.mmd["after"]


@pytest.mark.parametrize("projection", ["tsne", PCA(3), "pca"])
def test_projections_give_two_columns_and_one_feature_will_do(data, projection):
    X, _, sample_domain = data
    display = DomainShiftDisplay.from_embeddings(
        {"all": X, "twice": 2 * X}, sample_domain, projection=projection, random_state=0
    )
    assert display.maps["all"].shape == (200, 2)
    if projection == "pca":
        one = DomainShiftDisplay.from_embeddings({"one": X[:, :1]}, sample_domain)
        assert one.maps["one"].shape == (200, 2)


def test_what_cannot_be_drawn_is_refused(data):
    X, _, sample_domain = data
    draw = DomainShiftDisplay.from_embeddings
    with pytest.raises(ValueError, match="marks 200 of 200 rows as source"):
        draw({"a": X}, np.ones(200))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        draw({"a": X, "b": X[:10]}, sample_domain)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        draw({"a": X}, sample_domain, y=np.zeros(10))
    with pytest.raises(ValueError, match="embeddings is empty"):
        draw({}, sample_domain)
    with pytest.raises(ValueError, match="projection='umap'; give 'pca', 'tsne'"):
        draw({"a": X}, sample_domain, projection="umap")
    with pytest.raises(ValueError, match="gives no two columns"):
        draw({"a": X}, sample_domain, projection=PCA(1))
    with pytest.raises(TypeError, match="ax=3 is not matplotlib Axes"):
        draw({"a": X}, sample_domain, axes=3)
    figure, axes = plt.subplots(1, 2)
    with pytest.raises(ValueError, match="axes holds 2 Axes for 1 maps"):
        draw({"a": X}, sample_domain, axes=axes)
    assert draw({"a": X, "b": X}, sample_domain, axes=axes).figure_ is figure
