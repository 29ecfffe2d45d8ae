"""Embeddings as a transformer: equal to the network's own, whatever comes with a row."""

import pickle
import subprocess
import sys
import threading
import warnings

import joblib
import numpy as np
import pytest
import soundfile
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from torch import nn

from sktl import FineTunedClassifier, PretrainedEmbedding
from sktl.backbones import Backbone, InputSpec, ModuleHandle, YAMNet, make_backbone
from sktl.exceptions import AudioReadError, WeightsError


@pytest.fixture(scope="module")
def clips():
    """Clips of 0.05 to 2.3 s."""
    generator = np.random.default_rng(0)
    lengths = [800, 36800, 16000, 15600, 15601, 4000, 24000, 12000]
    return [(0.1 * generator.normal(size=n)).astype(np.float32) for n in lengths]


@pytest.fixture(params=["speech-mini", "yamnet"])
def embedding(request, clips):
    return PretrainedEmbedding(
        request.param,
        weights="pretrained" if request.param == "speech-mini" else None,
        random_state=0,
    ).fit(clips)


@torch.no_grad()
def by_hand(body, clip):
    [patches] = body.front_end([torch.from_numpy(clip)])
    return torch.stack([body(patch[None])[0] for patch in patches]).mean(0).numpy()


def test_a_row_is_the_mean_of_the_networks_patches(embedding, clips):
    got = embedding.transform(clips)
    assert got.dtype == np.float32
    assert got.shape == (8, embedding.backbone_.embedding_size)
    for row, clip in zip(got, clips, strict=True):
        np.testing.assert_allclose(row, by_hand(embedding.backbone_, clip), atol=1e-5)


def test_a_row_does_not_depend_on_the_others(embedding, clips):
    expected = embedding.transform(clips)
    order = [5, 1, 7, 0]
    np.testing.assert_array_equal(embedding.transform([clips[i] for i in order]), expected[order])
    for i in (0, 1, 4):
        np.testing.assert_array_equal(embedding.transform([clips[i]])[0], expected[i])
    np.testing.assert_array_equal(embedding.transform(clips * 9), np.tile(expected, (9, 1)))


def test_arrays_lists_and_files_give_the_same(clips, tmp_path):
    clips = [clip[:4000] for clip in clips if len(clip) >= 4000]
    paths = [tmp_path / f"{i}.wav" for i in range(len(clips))]
    for path, clip in zip(paths, clips, strict=True):
        soundfile.write(path, clip, 16000, subtype="FLOAT")
    embedding = PretrainedEmbedding(n_jobs=2).fit(paths)
    expected = embedding.transform(clips)
    for X in (paths, [*map(str, paths)], np.array([*map(str, paths)]), np.stack(clips)):
        np.testing.assert_array_equal(embedding.transform(X), expected)
    assert not hasattr(embedding, "n_features_in_")
    assert embedding.fit(np.stack(clips)).n_features_in_ == 4000
    with pytest.raises(ValueError, match="X has 3999 features, but PretrainedEmbedding"):
        embedding.transform(np.stack(clips)[:, 1:])


def test_a_file_of_another_rate_and_of_two_channels_is_read(tmp_path):
    time = np.arange(22050) / 22050
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(tmp_path / "stereo.wav", np.stack([tone, tone], 1), 22050, subtype="FLOAT")
    clip = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    embedding = PretrainedEmbedding().fit([clip])
    read, made = embedding.transform([tmp_path / "stereo.wav"]), embedding.transform([clip])
    assert np.corrcoef(read, made)[0, 1] > 0.999


@pytest.fixture
def files(clips, tmp_path):
    """Two files that can be read, one that is damaged, one that is missing."""
    for name, clip in (("a.wav", clips[0]), ("d.wav", clips[1])):
        soundfile.write(tmp_path / name, clip, 16000, subtype="FLOAT")
    (tmp_path / "b.wav").write_bytes(b"RIFF no more")
    return [str(tmp_path / name) for name in ("a.wav", "b.wav", "c.wav", "d.wav")]


@pytest.mark.parametrize("kept", [False, True])
def test_unreadable_files_become_rows_of_nan_and_one_warning(files, clips, tmp_path, kept):
    memory = tmp_path / "memory" if kept else None
    embedding = PretrainedEmbedding(on_error="nan", memory=memory).fit(files)
    expected = PretrainedEmbedding().fit_transform([clips[0], clips[1]])
    for _ in range(2):
        with pytest.warns(UserWarning, match="2 of 4 audio files cannot be read") as caught:
            got = embedding.transform(files)
        assert len(caught) == 1
        assert np.isnan(got).all(1).tolist() == [False, True, True, False]
        np.testing.assert_array_equal(got[[0, 3]], expected)
    with pytest.warns(UserWarning, match="2 of 2 audio files"):
        assert np.isnan(embedding.transform(files[1:3])).all()
    with pytest.warns(UserWarning, match="1 of 66 audio files"):
        many = embedding.transform([files[0]] * 65 + [files[1]])
    np.testing.assert_array_equal(many[:65], np.tile(expected[0], (65, 1)))
    assert np.isnan(many[65]).all()


def test_unreadable_files_are_named(files):
    with pytest.raises(AudioReadError, match=r"1 of 4 audio files do not exist:\n.*c\.wav"):
        PretrainedEmbedding().fit(files)
    embedding = PretrainedEmbedding().fit(files[:1])
    with pytest.raises(AudioReadError, match=r"cannot be read:\n.*b\.wav"):
        embedding.transform(files[:2])


def count_rows(embedding):
    seen = []
    embedding.backbone_.blocks[0].register_forward_hook(
        lambda block, inputs, output: seen.append(len(output))
    )
    return seen


def test_memory_is_asked_first_and_changes_no_bit(clips, tmp_path):
    expected = PretrainedEmbedding().fit_transform(clips)
    first = PretrainedEmbedding(memory=tmp_path).fit(clips)
    seen = count_rows(first)
    np.testing.assert_array_equal(first.transform(clips[:5]), expected[:5])
    np.testing.assert_array_equal(first.transform(clips), expected)
    assert len(seen) == 2
    second = PretrainedEmbedding(memory=joblib.Memory(tmp_path, verbose=0)).fit(clips)
    seen = count_rows(second)
    np.testing.assert_array_equal(second.transform(clips[::-1]), expected[::-1])
    assert seen == []


def test_memory_keeps_networks_apart(clips, tmp_path):
    for state in (0, 1):
        common = {"weights": None, "random_state": state}
        kept = PretrainedEmbedding("speech-mini", memory=tmp_path, **common).fit_transform(clips)
        plain = PretrainedEmbedding("speech-mini", **common).fit_transform(clips)
        np.testing.assert_array_equal(kept, plain)


def test_memory_is_shared_by_processes(clips, tmp_path):
    joblib.dump((PretrainedEmbedding(memory=tmp_path), clips), tmp_path / "task.joblib")
    script = (
        "import sys, joblib, torch; torch.set_num_threads(1);"
        "embedding, clips = joblib.load(sys.argv[1]); embedding.fit_transform(clips)"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "task.joblib"], check=True)
    embedding = PretrainedEmbedding(memory=tmp_path).fit(clips)
    seen = count_rows(embedding)
    embedding.transform(clips)
    assert seen == []


def test_random_weights_follow_random_state(clips):
    def embed(state):
        return PretrainedEmbedding(weights=None, random_state=state).fit_transform(clips[:2])

    np.testing.assert_array_equal(embed(0), embed(0))
    assert not np.allclose(embed(0), embed(1))


def test_a_network_of_ones_own_and_a_trained_one_can_be_taken():
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(30, 6)), np.arange(30) % 2
    with torch.random.fork_rng(devices=[]):
        network = nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.9), nn.Tanh())
    expected = network.eval()(torch.as_tensor(X, dtype=torch.float32)).detach().numpy()
    network.train()
    embedding = PretrainedEmbedding(network).fit(X)
    np.testing.assert_allclose(embedding.transform(X), expected, atol=1e-6)
    assert network.training
    assert network[0].weight.requires_grad
    trained = FineTunedClassifier(network, max_epochs=3, random_state=0).fit(X, y)
    embedded = PretrainedEmbedding(trained).fit_transform(X)
    body = trained.backbone_.eval()
    np.testing.assert_allclose(
        embedded, body(torch.as_tensor(X, dtype=torch.float32)).detach().numpy(), atol=1e-6
    )
    assert all(weight.requires_grad for weight in trained.backbone_.parameters())
    handle = ModuleHandle(nn.Flatten)
    np.testing.assert_allclose(PretrainedEmbedding(handle).fit_transform(X), X, atol=1e-6)


def test_it_goes_through_pipelines_searches_and_processes(clips):
    y = [0, 1, 0, 1, 0, 1, 0, 1]
    pipe = make_pipeline(PretrainedEmbedding(), LogisticRegression())
    assert cross_val_score(pipe, clips, y, cv=2).shape == (2,)
    grid = {"pretrainedembedding__weights": ["pretrained", None]}
    assert GridSearchCV(pipe, grid, cv=2, n_jobs=2).fit(clips, y).predict(clips).shape == (8,)
    copy = pickle.loads(pickle.dumps(pipe.fit(clips, y)))
    np.testing.assert_array_equal(copy.predict_proba(clips), pipe.predict_proba(clips))


def test_columns_have_names_and_frames_come_out(clips):
    pandas = pytest.importorskip("pandas")
    series = pandas.Series(clips, index=list("abcdefgh"))
    embedding = PretrainedEmbedding().set_output(transform="pandas").fit(series)
    frame = embedding.transform(series)
    assert list(frame.columns[[0, 191]]) == ["speech-mini_0000", "speech-mini_0191"]
    assert frame.shape == (8, 192)
    assert list(frame.index) == list("abcdefgh")


def test_the_networks_weights_are_left_alone(clips):
    embedding = PretrainedEmbedding().fit(clips)
    before = {name: value.clone() for name, value in embedding.backbone_.state_dict().items()}
    embedding.transform(clips)
    after = embedding.backbone_.state_dict()
    with torch.random.fork_rng(devices=[]):
        published = make_backbone("speech-mini").state_dict()
    for name, value in before.items():
        assert torch.equal(after[name], value)
        assert torch.equal(published[name], value)
    assert not embedding.backbone_.training
    assert not any(weight.requires_grad for weight in embedding.backbone_.parameters())


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"backbone": "speechmini"}, ValueError, "did you mean 'speech-mini'?"),
        ({"weights": "absent.pt"}, WeightsError, "No file of weights at absent.pt"),
        ({"on_error": "ignore"}, ValueError, "'on_error' parameter of PretrainedEmbedding"),
        ({"memory": 7}, ValueError, "memory=7 is neither a folder nor a joblib.Memory"),
        ({"device": "cuda:88"}, ValueError, "device='cuda:88' but torch sees"),
        ({"backbone": "mlp"}, ValueError, "'mlp' takes rows of numbers"),
    ],
)
def test_what_cannot_be_loaded_is_refused(clips, parameters, error, message):
    with pytest.raises(error, match=message):
        PretrainedEmbedding(**parameters).fit(clips)


def test_nothing_is_embedded_before_a_fit(clips):
    with pytest.raises(NotFittedError, match="This PretrainedEmbedding instance is not fitted"):
        PretrainedEmbedding().transform(clips)


@pytest.mark.gpu
def test_the_gpu_gives_the_same_up_to_rounding(clips):
    cpu, gpu = (PretrainedEmbedding(device=d).fit_transform(clips) for d in ("cpu", "cuda"))
    np.testing.assert_allclose(gpu, cpu, atol=2e-2)


@pytest.mark.gpu
def test_a_row_does_not_depend_on_the_others_on_the_gpu(clips):
    embedding = PretrainedEmbedding(device="cuda").fit(clips)
    expected = embedding.transform(clips)
    np.testing.assert_array_equal(embedding.transform(clips[::-1]), expected[::-1])
    np.testing.assert_array_equal(embedding.transform(clips[1:2]), expected[1:2])


def test_no_warning_comes_from_plain_use(clips):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PretrainedEmbedding().fit(clips).transform(clips)


@pytest.mark.parametrize("memory", [False, True])
def test_several_threads_give_the_same_bits_in_the_same_order(clips, tmp_path, memory):
    many = [clip[: len(clip) - 20 * i] for i in range(20) for clip in clips]
    embedding = PretrainedEmbedding("yamnet", weights=None, random_state=0)
    embedding.set_params(memory=tmp_path if memory else None)
    expected = embedding.fit_transform(many)
    before = torch.get_num_threads()
    threads = set()
    run_blocks = YAMNet.run_blocks

    def watched(self, *arguments):
        threads.add((threading.get_ident(), torch.get_num_threads()))
        return run_blocks(self, *arguments)

    torch.set_num_threads(3)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(YAMNet, "run_blocks", watched)
            np.testing.assert_array_equal(embedding.transform(many), expected)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert {count for _, count in threads} == (set() if memory else {1})
    assert memory or len(threads) > 1


def test_a_network_of_ones_own_is_run_by_one_thread(clips):
    seen = set()

    class Watching(Backbone):
        input_spec = InputSpec("waveform", sr=16000, min_samples=800)
        embedding_size = 800

        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList([nn.ReLU()])

        def front_end(self, clips):
            return [clip[:800][None] for clip in clips]

        def run_blocks(self, *arguments):
            seen.add(threading.get_ident())
            return super().run_blocks(*arguments)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        PretrainedEmbedding(Watching).fit_transform(200 * clips)
    finally:
        torch.set_num_threads(before)
    assert seen == {threading.get_ident()}
