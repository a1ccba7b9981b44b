"""Where the 68 points of 300W-LP and AFLW2000-3D lie on the head: the mark-up's three-dimensional form.

python -m gcnface.building.landmarks68 coarse/assets/face_model.npz

The points are fixed to the skin; unlike the two-dimensional mark-up's the jaw does not slide along the outline of a
turned head. They were found in two steps and are recorded in the face chart of the shipped topology.

1. ICT-FaceKit (Li et al., CVPR 2020; MIT) names 68 vertices of its neutral head. That head was registered onto this
   mean head (a similarity, then affine maps of its vertices, held to the corners of eyes and mouth, the edges of the
   lips, the nose and the chin, drawn to the nearest skin and kept alike between neighbours: Amberg et al., CVPR 2007),
   which carried them over. The inner points of both agree with the benchmark's to 1 to 3 mm.
2. Where ICT-FaceKit's choice differs from the mark-up's, the place was put by what the mark-up says of anatomy. The
   jaw: 0 to 3 in the crease before the ear, 0 below the height of the outer eye corner (a fifteenth of the way down to
   the chin), 1 at a quarter of that way, 2 at the nose's base and the ear's lobe, 3 at the upper lip; 4 on the angle of
   the jaw, below the lower lip; 5 to 7 on the jaw's lower edge, where the skin turns to face down by 45 degrees; 8 the
   lowest point of the chin. ICT-FaceKit's lie up to 28 mm before that line, on the outline that a frontal picture
   shows. The brows: 21 stands above the inner eye corner, 17 beyond the outer one, 18 to 20 evenly between on the upper
   ridge. The bridge: 27 between the inner eye corners, 28 and 29 evenly down to the tip. The inner eye corner ends
   before the tear duct, 58, 59, 61 and 67 divide the lips at a third and at two thirds.

Where the mark-up lies on the benchmark's own head, the mean of the Basel face model, was looked at beside it; no number
of that model is here. On 15 photographs of AFLW2000-3D, which were looked at as well while the places were chosen, the
inner points then lie on the mean within 1.5 mm of the annotated ones in the picture's plane, in depth within 3 mm but
for the bridge of the nose (5 mm).
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coarse.face_model import LANDMARKS68_MIRROR, FaceModel, load_face_model, save_face_model
from coarse.upsampling import SurfacePoints, closest_points
from gcnface.building.geometry import mirrored_points

log = logging.getLogger(__name__)

# The subject's right side and the middle, (u, v) of the face chart; the left side mirrors it.
# fmt: off
CHART_PLACES = {
    0: (.0086, .5082), 1: (.0050, .3695), 2: (.0076, .2466), 3: (.0143, .1478), 4: (.0690, .0780),
    5: (.1906, .0760), 6: (.3033, .0888), 7: (.4023, .1034), 8: (.5, .1022),
    17: (.2084, .6566), 18: (.2627, .6866), 19: (.3185, .6940), 20: (.3693, .6865), 21: (.4125, .6695),
    27: (.5, .5882), 28: (.5, .5384), 29: (.5, .4907), 30: (.5, .4455),
    31: (.4259, .3925), 32: (.4610, .3873), 33: (.5, .3875),
    36: (.2791, .5801), 37: (.3145, .6138), 38: (.3557, .6112),
    39: (.3805, .5854), 40: (.3475, .5574), 41: (.3089, .5528),
    48: (.4060, .2779), 49: (.4284, .3225), 50: (.4711, .3465), 51: (.5, .3466),
    57: (.5, .2206), 58: (.4658, .2267), 59: (.4339, .2416),
    60: (.4255, .2823), 61: (.4783, .3088), 62: (.5, .3094), 66: (.5, .2648), 67: (.4823, .2626),
}
# fmt: on


def place_landmarks68(
    chart_uv: NDArray[np.floating],
    faces: NDArray[np.integer],
    chart_faces: NDArray[np.integer],
    mirror: NDArray[np.integer],
) -> SurfacePoints:
    """The 68 points on a head with the shipped topology and chart, mirror images of one another.

    Args:
        chart_uv: (V, 2) the face chart, NaN outside it.
        faces: (F, 3).
        chart_faces: (Fc,) the faces inside the chart.
        mirror: (V,) mirror table of the vertices.
    """
    flat = np.column_stack([np.nan_to_num(chart_uv), np.zeros(len(chart_uv))])
    within = np.isin(np.arange(len(faces)), chart_faces)
    partner = np.array(LANDMARKS68_MIRROR)
    own = mirror == np.arange(len(mirror))
    face, bary = np.zeros(68, np.int64), np.zeros((68, 3))
    middle = np.flatnonzero(partner == np.arange(68))
    beside = within & (own[faces].sum(1) == 2)
    on_edge = closest_points(_places(middle), flat, faces, beside)
    weight = on_edge.bary * own[faces[on_edge.face]]
    face[middle], bary[middle] = on_edge.face, weight / weight.sum(1, keepdims=True)
    right = np.array([index for index in CHART_PLACES if partner[index] != index])
    found = closest_points(_places(right), flat, faces, within)
    left = mirrored_points(found, faces, mirror)
    face[right], bary[right] = found.face, found.bary
    face[partner[right]], bary[partner[right]] = left.face, left.bary
    return SurfacePoints(face, bary)


def _places(index: NDArray[np.integer]) -> NDArray[np.float64]:
    """(N, 3) places in the chart, its third coordinate 0."""
    return np.array([(*CHART_PLACES[int(i)], 0.0) for i in index])


def with_landmarks68(model: FaceModel) -> FaceModel:
    """A copy of a model of the shipped topology with the 68 points of `CHART_PLACES`."""
    found = place_landmarks68(model.chart_uv, model.faces, model.chart_faces, model.mirror)
    return replace(model, landmarks68_face=found.face.astype(np.int32), landmarks68_bary=found.bary.astype(np.float32))


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: put the points into a face model's file anew."""
    parser = argparse.ArgumentParser(description="Put the 68 points into the face model's file.")
    parser.add_argument("model", type=Path, help="npz file of the shipped topology, written anew")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    save_face_model(with_landmarks68(load_face_model(options.model)), options.model)
    log.info("%s: %.1f MB", options.model, options.model.stat().st_size / 1e6)


if __name__ == "__main__":
    main()
