"""The measurements of long and wide recordings: what is simulated, what is measured, and how growth is found."""

import numpy as np
import pytest

from configs.generalize import get_config
from experiments.benchmarks import scale as benchmark
from wormjax.errors import InputError
from wormjax.recordings import container

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return benchmark.make_study(tmp_path_factory.mktemp("cache"), 3, 320, 16)


def test_a_study_has_its_worms_frames_and_neurons_in_float32(study):
    recordings = container.read(study)
    assert [len(recording.times) for recording in recordings] == [320] * 3
    assert all(len(recording.identified) == 16 for recording in recordings)
    assert {recording.traces.dtype for recording in recordings} == {np.dtype(np.float32)}
    assert len({recording.worm for recording in recordings}) == 3


def test_what_was_simulated_is_not_simulated_again(study, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("simulated again")

    monkeypatch.setattr(benchmark, "iterate_worms", refuse)
    cache = study.parent.parent
    assert benchmark.make_study(cache, 3, 320, 16) == study
    fewer = benchmark.make_study(cache, 2, 320, 16)
    assert sorted(path.name for path in fewer.iterdir()) == ["worm_001.h5", "worm_002.h5"]


def test_sizes_that_cannot_be_simulated_are_refused(tmp_path):
    with pytest.raises(InputError, match="found 3 worms of 100 frames and 300 neurons, expected at least 2 of 300 fra"):
        benchmark.make_study(tmp_path, 3, 100, 300)


@pytest.mark.usefixtures("quick_compilation")
def test_every_stage_is_run_and_measured(study, tmp_path):
    config = benchmark.choose_config(get_config(), "mlp", study)
    stages, accuracy = benchmark.measure_stages(config, tmp_path)
    assert tuple(stages) == benchmark.STAGES
    assert all(stage.seconds > 0 and stage.processor > 0 for stage in stages.values())
    assert min(stage.peak for stage in stages.values()) > 50 * MEGABYTE
    assert 0 <= accuracy <= 1
    assert (tmp_path / "models" / "mlp" / "checkpoints").is_dir()


def test_the_peak_is_of_what_came_after_it_was_reset():
    benchmark.reset_peak()
    before = benchmark.read_peak()
    np.ones(100 * MEGABYTE, np.uint8)
    peak = benchmark.read_peak()
    assert peak > before + 90 * MEGABYTE
    benchmark.reset_peak()
    if benchmark.read_peak() == peak:
        pytest.skip("this system does not let a process reset its peak")
    assert benchmark.read_peak() < before + 50 * MEGABYTE


@pytest.mark.parametrize(("worms", "trained"), [(2, 1), (3, 2), (10, 8), (100, 80)])
def test_four_worms_in_five_train_and_the_others_are_tested(worms, trained):
    split = benchmark.split_worms(worms)
    assert split.train == tuple(range(trained))
    assert split.test == tuple(range(trained, worms))


def make_measured(worms, frames, processor):
    stages = {name: benchmark.Stage(2 * processor, processor, 3 * 10**9) for name in benchmark.STAGES}
    return benchmark.Measured(worms, frames, stages, 0.5)


def test_growth_is_measured_by_doubling_the_size():
    small = make_measured(10, 1000, 1.0)
    assert benchmark.growth_per_doubling(small, make_measured(20, 1000, 2.0)) == pytest.approx(2.0)
    assert benchmark.growth_per_doubling(small, make_measured(20, 2000, 16.0)) == pytest.approx(4.0)
    assert benchmark.growth_per_doubling(small, make_measured(10, 8000, 8.0)) == pytest.approx(2.0)


def test_a_table_has_a_line_for_each_size():
    lines = benchmark.format_table([make_measured(10, 1000, 1.0), make_measured(20, 1000, 2.0)])
    assert {line.count("|") for line in lines} == {len(benchmark.STAGES) + 7}
    assert lines[2] == "| 10 | 1,000 |" + " 1.0 s, 3.0 GB |" * 4 + " 4 s |  | 8 s | **3.0 GB** |"
    assert "| × 2.00 |" in lines[3]


@pytest.mark.slow
def test_memory_grows_by_the_features_and_little_else(tmp_path):
    sizes = [(4, 5000), (16, 5000)]
    few, many = (
        benchmark.measure_size(get_config(), benchmark.make_study(tmp_path, *size, 100), *size, "mlp") for size in sizes
    )
    features = 12 * 5000 * 100 * 2 * 4  # Bytes, of twelve more worms.
    for name in ("features", "training", "evaluation"):
        assert many.stages[name].peak - few.stages[name].peak < 1.5 * features + 60 * MEGABYTE


@pytest.mark.slow
def test_a_process_that_fails_is_reported_in_one_line(tmp_path):
    with pytest.raises(InputError, match=r"ended with exit code 2: .*found no file or folder") as caught:
        benchmark.measure_size(get_config(), tmp_path / "nowhere", 2, 300, "mlp")
    assert "\n" not in str(caught.value)
