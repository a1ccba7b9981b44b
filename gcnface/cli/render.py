"""``gcnface render``."""

from __future__ import annotations

from gcnface.names import LIGHTS
from gcnface.options import RenderOptions

EPILOG = f"""\
examples:
  gcnface render out/portrait.npz -o turned.png --yaw 30 --light studio
  gcnface render out/portrait.npz -o smile.png --expression mouthSmileLeft=0.7 mouthSmileRight=0.7
  gcnface render out/portrait.npz --turntable turn.mp4 --light sunset --size 720
  gcnface render out/portrait.npz -o photo.png --view photo --background portrait.jpg --light left

lights: own (the photo's), {", ".join(LIGHTS)}; or a file: nine harmonics of red, green, blue (.json, .npy, .npz),
the .npz of another face, or a panorama (.hdr, .png, .jpg). docs/render.md shows them.

exit status: 0 all done; 1 something failed; 2 wrong usage
"""


def run(options: RenderOptions) -> int:
    """Draw the face; the exit status."""
    from gcnface.batch.render import render

    return render(options)
