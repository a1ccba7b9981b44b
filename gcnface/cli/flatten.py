"""``gcnface flatten``."""

from __future__ import annotations

from gcnface.options import FlattenOptions

EPILOG = """\
examples:
  gcnface flatten portrait.jpg -o out/
  gcnface flatten anna/*.jpg -o out/ --mean anna --size 512

what comes out for portrait.jpg:
  portrait_flat.png     the photo's own colours, hidden parts transparent
and with --mean anna:
  anna_mean.png         the mean over the photos that show a texel
  anna_mean_mask.png    the share of the photos that show it, white is all

exit status: 0 all done; 1 some photo failed (the others are done); 2 wrong usage
"""


def run(options: FlattenOptions) -> int:
    """Flatten the photos; the exit status."""
    from gcnface.batch.flatten import flatten_photos

    return flatten_photos(options)
