"""The published numbers are found for the protocol that they belong to, and for no other."""

from wormjax.scoring.published import PAPER, RERUN, find_published


def test_kato_within_study():
    found = {(p.source, p.model, p.train_count): (p.mean, p.sd) for p in find_published("kato2015", "kato2015")}
    assert found[PAPER, "GNN", 4] == (0.874, 0.074)
    assert found[PAPER, "MLP", 1] == (0.765, 0.137)
    assert found[RERUN, "GNN", 4] == (0.926, 0.022)
    assert (PAPER, "GNN", 5) not in found
    assert all(0.5 < mean < 1 for mean, _ in found.values())


def test_kato_to_nichols():
    found = find_published("kato2015", "nichols2017")
    assert {(p.model, p.train_count) for p in found} == {(m, n) for m in ("GNN", "MLP") for n in range(1, 6)}


def test_other_protocols_have_none():
    assert find_published("kato2015", "dag2023") == ()
    assert find_published("kato2015", "kato2015", state_set="two") == ()
    assert find_published("nichols2017", "kato2015") == ()
