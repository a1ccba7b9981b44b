"""``gcnface refine``."""

from __future__ import annotations

from gcnface.options import RefineOptions

EPILOG = """\
examples:
  gcnface refine portrait.jpg -o out/
  gcnface refine --same-person front.jpg left.jpg right.jpg -o out/
  gcnface refine holiday/ 'more/**/*.png' -o out/ --formats glb,html --all-faces

what comes out for portrait.jpg:
  portrait.glb          textured mesh, metres (Blender, three.js, Windows, macOS)
  portrait.obj          the same with portrait.mtl and portrait.png, millimetres
  portrait.ply          vertex colours, millimetres
  portrait_overlay.png  photo, coarse, refined, refined turned by 30 degrees each way
  portrait.npz          every array, read back by gcnface.load
  portrait.json         versions, seconds, figures
  portrait.html         a turntable for any browser
  portrait_source.png   which texels were seen, mirrored, inferred; portrait_confidence.png how far

exit status: 0 all done; 1 some photo failed (the others are done); 2 wrong usage
"""


def run(options: RefineOptions) -> int:
    """Reconstruct the photos; the exit status."""
    from gcnface.batch import person, refine

    return person.refine_person(options) if options.same_person else refine.refine(options)
