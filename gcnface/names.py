"""Names that options are chosen from. Nothing heavy is imported here, so that help comes at once."""

from collections.abc import Iterable

ALIGN_OUTPUTS = {
    "kpt": "68 and 468 points, x y z in pixels of the photo",
    "pose": "yaw, pitch and roll, rotation, scale, translation",
    "depth": "depth of the face at every pixel of the photo, 16 bits",
    "position-map": "(256, 256, 3) float32, x y z of every point of the face",
    "texture": "the photo's colors on the face chart, alpha: seen in the photo",
    "mesh": "the dense face with this texture, upright, in metres",
    "overlay": "points and the head's axes on the photo",
}
"""What dense alignment writes, and what that is."""

TRACK_OUTPUTS = {
    "glb": "textured head, animated: blendshapes, rotation, translation; one camera",
    "csv": "a frame a line: pose, blendshapes, 68 points",
    "npz": "the same as arrays, and 468 points",
    "overlay": "the video with points and the head's axes, MP4",
}
"""What tracking writes, and what that is."""

QUALITY_FLOOR = 0.1
"""Faces of less quality are refused, unless another floor is asked for."""

LIGHTS = ("ambient", "studio", "left", "right", "top", "below", "sunset")
"""Lights that can be asked for by name."""

VIEWS = ("portrait", "photo")
"""portrait: a camera that frames the whole head; photo: the camera of the photo, at the photo's proportions."""

LARGEST_PX = 4096
"""Side of a picture that is rendered."""

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
"""Endings of pictures that are written."""

LAYOUTS = ("auto", "photos", "annotated", "celeba", "300w-lp")
"""How the photos of a data set lie."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that is likeliest meant, or "" when none is alike."""
    import difflib

    return next(iter(difflib.get_close_matches(word, list(known), n=1)), "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question to put behind an error about a word, or nothing when no known word is near."""
    near = nearest(word.lower(), known)
    return f"; did you mean {near}?" if near else ""
