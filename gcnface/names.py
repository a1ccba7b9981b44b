"""Names that options are chosen from. Nothing is imported here, so that help comes at once."""

FORMATS = ("glb", "obj", "ply", "overlay", "npz", "json", "html", "maps")
"""Formats of a reconstruction."""

ALIGN_OUTPUTS = ("kpt", "pose", "depth", "position-map", "texture", "mesh", "overlay")
"""What dense alignment writes."""

LIGHTS = ("ambient", "studio", "left", "right", "top", "below", "sunset")
"""Lights that can be asked for by name."""

VIEWS = ("portrait", "photo")
"""Cameras that a face is rendered through."""

LAYOUTS = ("auto", "photos", "annotated", "celeba", "300w-lp")
"""How the photos of a data set lie."""
