"""What the trainings read: who is held out, what the teacher's classes become, that nothing comes apart on the way."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gcnface.data.faces import CANVAS_MARGIN_PX, CANVAS_PX, UNKNOWN, is_validation, load_prepared
from gcnface.photo.crop import CROP_SIDE_PX, TEMPLATE_POINTS5_PX
from gcnface.photo.parsing import PARSING_CLASSES
from gcnface.preparing.labels import CLASS_OF_TEACHER_CLASS
from gcnface.preparing.layouts import find_sources
from gcnface.training.crops import Augmentation, CropBatch, CropDataset, mirror468
from gcnface.training.parser import confusion_matrix, intersection_over_union
from gcnface.training.parser_augment import AugmentConfig, center_views, random_views
from tests.gcnface.annotated_folder import DRAWN, PEOPLE, write_prepared_faces

REAL_FACES = Path(__file__).parents[4] / "shared" / "faces"
TEACHER_CLASSES = (
    *("rest", "skin", "brows", "brows", "eyes", "eyes", "glasses", "ears", "ears", "rest", "nose", "mouth_interior"),
    *("lips", "lips", "rest", "rest", "rest", "hair", "rest"),
)
"""Background, skin, brows, eyes, glasses, ears, earring, nose, mouth, lips, neck, necklace, clothes, hair, hat."""


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return load_prepared(write_prepared_faces(tmp_path_factory.mktemp("faces")))


def test_one_in_ten_is_held_out_by_name():
    assert [name for name in ("00000", "00006", "00007", "00026", "anna") if is_validation(name)] == ["00007", "00026"]
    share = np.mean([is_validation(f"person {i}") for i in range(5000)])
    assert share == pytest.approx(0.1, abs=0.015)


def test_classes_of_the_teacher():
    assert tuple(PARSING_CLASSES[index] for index in CLASS_OF_TEACHER_CLASS) == TEACHER_CLASSES


def test_faces_come_with_who_they_show(faces):
    assert len(faces) == len(PEOPLE) + len(DRAWN)
    assert faces.identities.tolist() == [*PEOPLE, *DRAWN]
    assert faces.drawn.tolist() == [False] * len(PEOPLE) + [True] * len(DRAWN)
    assert faces.validation.tolist() == [False, False, False, True, False, False, True]
    assert all(Path(file).is_file() for file in faces.files)
    assert faces.embeddings is None


def test_labels_lie_over_the_image(faces):
    skin, lips = (faces.labels == PARSING_CLASSES.index(name) for name in ("skin", "lips"))
    assert np.abs(np.median(faces.canvases[skin], 0) - [220, 170, 140]).max() < 5
    assert np.abs(np.median(faces.canvases[lips], 0) - [180, 60, 70]).max() < 5
    assert (faces.labels == UNKNOWN)[:, 0].all()
    assert set(np.unique(faces.labels)) <= {*range(len(PARSING_CLASSES)), UNKNOWN}


def test_landmarks_lie_on_the_canvas(faces):
    assert faces.canvases.shape == (7, CANVAS_PX, CANVAS_PX, 3)
    five = np.broadcast_to(TEMPLATE_POINTS5_PX, (7, 5, 2))
    np.testing.assert_allclose(faces.landmarks[:, :5, :2], five + CANVAS_MARGIN_PX, atol=1e-3)
    np.testing.assert_allclose(faces.crop_landmarks()[:, :5], five, atol=1e-3)


def test_crop_and_parsing_of_a_face(faces):
    crop, parsing = faces.crop(0), faces.parsing(0)
    assert crop.shape == (1, 3, CROP_SIDE_PX, CROP_SIDE_PX)
    assert parsing.shape == (1, len(PARSING_CLASSES), CROP_SIDE_PX, CROP_SIDE_PX)
    assert crop.max() <= 1
    assert set(parsing.sum(1).unique().tolist()) <= {0.0, 1.0}
    lips = parsing[0, PARSING_CLASSES.index("lips")].bool()
    assert crop[0, 0, lips].median() == pytest.approx(180 / 255, abs=0.02)


def views(faces, config, seed=0):
    images = torch.from_numpy(np.array(faces.canvases)).permute(0, 3, 1, 2).float() / 255
    return random_views(images, torch.from_numpy(np.array(faces.labels)), config, torch.Generator().manual_seed(seed))


@pytest.fixture
def moved_only():
    return AugmentConfig(
        log_gamma=0, channel_gain=0, side_light=0, gray=0, blur=0, noise=0, jpeg=0, occluder=0, rotation_deg=20
    )


def test_views_move_image_and_labels_together(faces, moved_only):
    images, labels = views(faces, moved_only)
    lips = labels == PARSING_CLASSES.index("lips")
    assert lips.sum() > 500
    colors = images.permute(0, 2, 3, 1)[lips]
    torch.testing.assert_close(colors.median(0).values, torch.tensor([180, 60, 70]) / 255, atol=0.02, rtol=0)


def test_views_are_ruled_by_the_generator(faces):
    first, again, other = (views(faces, AugmentConfig(), seed) for seed in (0, 0, 1))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_views_stay_pictures_and_labels(faces):
    images, labels = views(faces, AugmentConfig(occluder=1.0, blur=1.0, noise=1.0, jpeg=1.0, gray=1.0))
    assert images.shape == (7, 3, 224, 224)
    assert images.min() >= 0
    assert images.max() <= 1
    assert set(labels.unique().tolist()) <= {*range(len(PARSING_CLASSES)), UNKNOWN}


def test_occluders_are_labelled_rest(faces, moved_only):
    still = AugmentConfig(**{**moved_only.__dict__, "occluder": 1.0})
    plain, covered = views(faces, moved_only)[1], views(faces, still)[1]
    changed = plain != covered
    assert changed.any()
    assert (covered[changed] == PARSING_CLASSES.index("rest")).all()


def test_middle_view(faces):
    images = torch.from_numpy(np.array(faces.canvases[:1])).permute(0, 3, 1, 2).float() / 255
    image, _ = center_views(images, torch.from_numpy(np.array(faces.labels[:1])), CROP_SIDE_PX)
    torch.testing.assert_close(image, faces.crop(0))


def test_regressor_crop_without_changes(faces):
    dataset = CropDataset(faces, faces.validation, augment=False)
    assert len(dataset) == 2
    sample = dataset[0]
    assert faces.names[dataset.rows[0]] == "p3.png"
    np.testing.assert_allclose(sample.landmarks[:5], TEMPLATE_POINTS5_PX, atol=1e-3)
    np.testing.assert_allclose(sample.image, faces.crop(dataset.rows[0])[0], atol=1e-6)
    assert sample.drawable
    assert sample.image[0][sample.skin > 0.5].mean() > 0.7


def test_regressor_crops_move_skin_with_the_image(faces):
    torch.manual_seed(0)
    still = Augmentation(color=0, gray=0, blur=0, jpeg=0, occluder=0)
    dataset = CropDataset(faces, ~faces.validation, augment=True, kinds=[still])
    for index in range(len(dataset)):
        sample = dataset[index]
        red, blue = sample.image[0], sample.image[2]
        assert np.median(red[sample.skin > 0.5]) == pytest.approx(220 / 255, abs=0.02)
        assert np.median(blue[sample.skin > 0.5]) == pytest.approx(140 / 255, abs=0.02)


def test_regressor_landmarks_follow_the_image(faces):
    """However the crop moves, the middle of the lips stays at the corners of the mouth."""
    torch.manual_seed(1)
    still = Augmentation(color=0, gray=0, blur=0, jpeg=0, occluder=0, flip=0, shift_px=20, angle_rad=0.4)
    dataset = CropDataset(faces, ~faces.validation, augment=True, kinds=[still])
    for index in range(len(dataset)):
        sample = dataset[index]
        lips = (np.abs(sample.image.numpy() - np.array([180, 60, 70])[:, None, None] / 255) < 0.05).all(0)
        y, x = np.nonzero(lips)
        corners = sample.landmarks[3:5].mean(0).numpy()
        assert np.hypot(x.mean() + 0.5 - corners[0], y.mean() + 0.5 - corners[1]) < 3


def test_changed_colours_are_not_compared_with_a_render(faces):
    torch.manual_seed(0)
    dataset = CropDataset(faces, ~faces.validation, augment=True, kinds=[Augmentation(gray=1.0)])
    assert not any(dataset[index].drawable for index in range(len(dataset)))


def test_mirrored_landmarks_pair_up():
    partner = mirror468()
    np.testing.assert_array_equal(partner[partner], np.arange(468))
    middle = (partner == np.arange(468)).sum()
    assert 20 < middle < 60
    assert partner[33] == 263  # outer corners of the eyes


def test_crops_collate(faces):
    dataset = CropDataset(faces, ~faces.validation, augment=False)
    batch = CropBatch.stack([dataset[0], dataset[1]])
    assert batch.image.shape == (2, 3, 224, 224)
    assert batch.landmarks.shape == (2, 468, 2)
    assert batch.skin.shape == (2, 224, 224)
    assert batch.to("cpu").drawable.tolist() == [True, True]


def test_iou_in_closed_form():
    truth = torch.tensor([[1, 1, 1, 9], [0, 0, UNKNOWN, 9]])
    predicted = torch.tensor([[1, 1, 0, 9], [0, 1, 5, 9]])
    scores = intersection_over_union(confusion_matrix(predicted, truth))
    assert float(scores[1]) == pytest.approx(2 / 4)
    assert float(scores[0]) == pytest.approx(1 / 3)
    assert float(scores[9]) == 1
    assert scores[2:9].isnan().all()


@pytest.mark.skipif(not REAL_FACES.is_dir(), reason="the folder of annotated photographs is not beside this checkout")
def test_nobody_is_on_both_sides_of_the_real_split():
    found = [source for source in find_sources([str(REAL_FACES)], "annotated", {}) if not source.dropped]
    held_out = {sample.identity for sample in found if sample.validation}
    training = {sample.identity for sample in found} - held_out
    assert held_out
    assert not held_out & training
    share = sum(sample.validation for sample in found) / len(found)
    assert share == pytest.approx(0.1, abs=0.03)
