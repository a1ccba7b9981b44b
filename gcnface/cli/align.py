"""``gcnface align``."""

from __future__ import annotations

from gcnface.options import AlignOptions

EPILOG = """\
examples:
  gcnface align portrait.jpg -o out/
  gcnface align holiday/ -o out/ --kpt --pose --all-faces

what comes out for portrait.jpg; all of it when none is asked for:
  portrait_kpt.txt, portrait_kpt468.txt    --kpt
  portrait_pose.json                       --pose
  portrait_depth.png, portrait_depth.json  --depth
  portrait_position_map.npy                --position-map
  portrait_texture.png                     --texture
  portrait_mesh.glb                        --mesh
  portrait_overlay.png                     --overlay

exit status: 0 all done; 1 some photo failed (the others are done); 2 wrong usage
"""


def run(options: AlignOptions) -> int:
    """Align the photos; the exit status."""
    from gcnface.batch.align import align

    return align(options)
