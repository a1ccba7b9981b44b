"""From samples to an identity basis."""

import numpy as np

from gcnface.building.expression import mirror_offsets
from gcnface.building.identity import align_similarity, fit_identity, reconstruct
from gcnface.building.phenotypes import ANCHORS, RACES, macro_weights


def rotation(rng):
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def symmetric_set(rng, half=20):
    right = rng.normal(size=(half, 3)) * 50
    vertices = np.concatenate([right, right * [-1, 1, 1]])
    return vertices, np.concatenate([np.arange(half) + half, np.arange(half)])


def test_alignment_removes_similarity():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(30, 3)) * 50
    moved = np.stack([reference @ rotation(rng).T * s + rng.normal(size=3) * 20 for s in (0.8, 1.0, 1.3)])
    weight = rng.random(30)
    np.testing.assert_allclose(align_similarity(moved, reference, weight, 0.0), np.stack([reference] * 3), atol=1e-9)


def test_alignment_keeps_size_when_asked():
    rng = np.random.default_rng(1)
    reference = rng.normal(size=(30, 3)) * 50
    bigger = (reference @ rotation(rng).T * 1.2)[None]
    kept = align_similarity(bigger, reference, np.ones(30), 1.0)[0]
    centered = reference - reference.mean(0)
    np.testing.assert_allclose(kept - kept.mean(0), centered * 1.2, atol=1e-9)


def test_basis_spans_the_samples_with_unit_coefficients():
    rng = np.random.default_rng(2)
    mean, mirror = symmetric_set(rng)
    modes = rng.normal(size=(4, len(mean), 3))
    modes[:2] += mirror_offsets_batch(modes[:2], mirror)
    modes[2:] -= mirror_offsets_batch(modes[2:], mirror)
    samples = mean + np.einsum("bk,kvc->bvc", rng.normal(size=(400, 4)), modes)
    basis = fit_identity(samples, mirror, np.ones(len(mean)), 4)
    np.testing.assert_allclose(basis.mean[mirror], basis.mean * [-1, 1, 1])
    for k in range(4):
        mode = basis.basis[..., k]
        np.testing.assert_allclose(mirror_offsets(mode, mirror) * basis.mirror_sign[k], mode, atol=1e-6)
    assert sorted(basis.mirror_sign) == [-1, -1, 1, 1]
    np.testing.assert_allclose(basis.variance.sum() / basis.total_variance, 1.0, atol=0.02)
    flat = basis.basis.reshape(-1, 4)
    coefficients = np.linalg.lstsq(flat, (samples - basis.mean).reshape(400, -1).T, rcond=None)[0]
    np.testing.assert_allclose(coefficients.std(1), 1.0, atol=0.02)
    again = reconstruct(basis, samples[:5], np.ones(len(mean)), 1e-9)
    # Averaging over 400 samples leaves the mean a little off along the modes only, which the fit can undo.
    np.testing.assert_allclose(again, samples[:5], atol=0.5)


def mirror_offsets_batch(offsets, mirror):
    return np.stack([mirror_offsets(one, mirror) for one in offsets])


def test_macro_weights_of_one_combination_family_sum_to_one():
    rng = np.random.default_rng(3)
    values = {name: rng.random(6) for name in ANCHORS}
    values["age"] = 0.2 + 0.8 * rng.random(6)
    shares = rng.dirichlet((1, 1, 1), 6)
    values |= {race: shares[:, i] for i, race in enumerate(RACES)}
    family = tuple((race, g, a) for race in RACES for g in ("female", "male") for a in ("child", "young", "old"))
    np.testing.assert_allclose(macro_weights(family, values).sum(1), 1.0)


def test_macro_weight_at_an_anchor():
    values = {name: np.array([0.5]) for name in ANCHORS} | dict.fromkeys(RACES, np.array([0.0]))
    values |= {"african": np.array([1.0]), "gender": np.array([1.0])}
    names = (("african", "male", "young"), ("african", "female", "young"), ("asian", "male", "young"))
    np.testing.assert_allclose(macro_weights(names, values), [[1.0, 0.0, 0.0]])
