"""What baselines learn comes back as it was, without a pickle, or ends in one line."""

import numpy as np
import pytest

from wormjax.errors import InputError
from wormjax.tasks.groups import restore_best
from wormjax.training.fitted import FITTED_FILE, restore_fitted, save_fitted

TREE = {"split_0": {"weights": np.arange(60.0).reshape(3, 20), "count": np.int32(3)}, "scale": np.float32([0.5, 2.0])}


def test_arrays_come_back_bit_for_bit(tmp_path):
    assert restore_fitted(tmp_path / "lda") is None
    save_fitted(tmp_path / "lda", TREE)
    restored = restore_best(tmp_path / "lda")
    np.testing.assert_array_equal(restored["split_0"]["weights"], TREE["split_0"]["weights"])
    assert restored["split_0"]["count"] == 3
    assert restored["scale"].dtype == np.float32
    assert [path.name for path in (tmp_path / "lda").iterdir()] == [FITTED_FILE]


def test_a_damaged_file_is_one_line_or_as_it_was(tmp_path):
    save_fitted(tmp_path, TREE)
    path, random = tmp_path / FITTED_FILE, np.random.default_rng(0)
    whole, refused = path.read_bytes(), 0
    for _ in range(200):
        content = bytearray(whole)
        content[random.integers(len(content))] ^= 1 << random.integers(8)
        path.write_bytes(content)
        try:
            restored = restore_fitted(tmp_path)
            np.testing.assert_array_equal(restored["split_0"]["weights"], TREE["split_0"]["weights"])
            np.testing.assert_array_equal(restored["scale"], TREE["scale"])
        except InputError as error:
            refused += str(error).startswith(f"{path}: found a file that is damaged")
    assert refused > 100


def test_an_array_of_objects_is_not_unpickled(tmp_path):
    np.savez(tmp_path / FITTED_FILE, weights=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="found a file that is damaged"):
        restore_fitted(tmp_path)
