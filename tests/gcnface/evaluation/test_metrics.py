import numpy as np
import pytest

from gcnface.errors import MissingPackageError
from gcnface.evaluation import metrics
from gcnface.evaluation.metrics import l1, lpips_metric, psnr_db, ssim_map
from gcnface.evaluation.records import Metric


def compare(picture, photo, mask):
    """The values of L1, PSNR and SSIM by the labels of their metrics."""
    functions = {"l1": metrics.l1_metric(), "psnr": metrics.psnr_metric(), "ssim": metrics.ssim_metric()}
    found = metrics.compare(picture, photo, mask, functions)
    assert Metric("psnr", "face") in found
    return {metric.label: value for metric, value in found.items()}


@pytest.fixture
def pictures():
    rng = np.random.default_rng(3)
    photo = rng.random((48, 40, 3), np.float32) * 0.8 + 0.1
    return photo, np.clip(photo + rng.normal(0, 0.05, photo.shape), 0, 1).astype(np.float32)


def test_constant_offset_has_closed_forms(pictures):
    photo = pictures[0]
    mask = np.zeros(photo.shape[:2], bool)
    mask[10:30, 5:25] = True
    found = compare(photo + np.float32(0.1), photo, mask)
    assert found["l1_face"] == pytest.approx(0.1, abs=1e-6)
    assert found["psnr_face"] == pytest.approx(20.0, abs=1e-3)
    share = mask.mean()
    assert found["psnr_frame"] == pytest.approx(20.0 - 10 * np.log10(share), abs=1e-3)


def test_what_lies_outside_the_mask_does_not_count(pictures):
    photo, drawn = pictures
    mask = np.zeros(photo.shape[:2], bool)
    mask[10:40, 5:35] = True
    spoilt = np.where(mask[..., None], drawn, 0.9).astype(np.float32)
    assert compare(spoilt, photo, mask) == compare(drawn, photo, mask)


def test_equal_pictures_score_one_and_others_less(pictures):
    photo, drawn = pictures
    assert ssim_map(photo, photo) == pytest.approx(np.ones(photo.shape[:2]))
    assert ssim_map(photo, drawn).mean() < 0.99
    assert ssim_map(photo, drawn) == pytest.approx(ssim_map(drawn, photo))


def test_ssim_is_that_of_scikit_image(pictures):
    skimage = pytest.importorskip("skimage.metrics")
    photo, drawn = (p.astype(np.float64) for p in pictures)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    _, full = skimage.structural_similarity(photo, drawn, channel_axis=2, full=True, **settings)
    assert ssim_map(photo, drawn) == pytest.approx(full.mean(2), abs=1e-9)


def test_face_ssim_counts_the_mask_alone(pictures):
    photo, drawn = pictures
    mask = np.zeros(photo.shape[:2], bool)
    mask[8:40, 8:32] = True
    found = compare(drawn, photo, mask)
    masked = ssim_map(drawn * mask[..., None], photo * mask[..., None])
    assert found["ssim_face"] == pytest.approx(masked[mask].mean())
    assert found["ssim_face"] < found["ssim_frame"] == pytest.approx(masked.mean())


def test_an_empty_mask_tells_nothing(pictures):
    photo, drawn = pictures
    nothing = np.zeros(photo.shape[:2], bool)
    assert np.isnan(l1(drawn, photo, nothing))
    assert np.isnan(psnr_db(drawn, photo, nothing))
    assert np.isnan(compare(drawn, photo, nothing)["ssim_face"])


def test_shapes_are_checked(pictures):
    photo, drawn = pictures
    with pytest.raises(ValueError, match="photo"):
        compare(drawn, photo[1:], np.ones(photo.shape[:2], bool))


def test_lpips_says_what_to_install():
    try:
        import lpips  # noqa: F401
    except ImportError:
        with pytest.raises(MissingPackageError, match="pip install lpips"):
            lpips_metric()
