"""The commands: a function each, of one of the records of `gcnface.options`, that gives the exit status.

The record's docstring and the function's are the head and the end of the help. What a command needs it imports when it
runs, so that help comes at once.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import getdoc
from typing import Any

from gcnface.evaluation.registries import METHODS, usual
from gcnface.names import LIGHTS
from gcnface.options import (
    AlignOptions,
    EvaluateOptions,
    FlattenOptions,
    PrepareOptions,
    RefineOptions,
    RenderOptions,
    TrackOptions,
)

_STATUS = "exit status: 0 all done; 1 something failed (all else is done); 2 wrong usage"


def end_of_help(command: Callable[[Any], int]) -> str:
    """Examples, what comes out, and what there is to choose from."""
    text = f"{getdoc(command)}\n\n{_STATUS}"
    return text.replace("{lights}", ", ".join(LIGHTS)).replace("{methods}", ", ".join(usual(METHODS)))


def refine(options: RefineOptions) -> int:
    """examples:
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
    """
    from gcnface.batch import person, refine

    return person.refine_person(options) if options.same_person else refine.refine(options)


def render(options: RenderOptions) -> int:
    """examples:
      gcnface render out/portrait.npz -o turned.png --yaw 30 --light studio
      gcnface render out/portrait.npz -o smile.png --expression mouthSmileLeft=0.7 mouthSmileRight=0.7
      gcnface render out/portrait.npz --turntable turn.mp4 --light sunset --size 720
      gcnface render out/portrait.npz -o photo.png --view photo --background portrait.jpg --light left

    lights: own (the photo's), {lights}; or a file: nine harmonics of red, green, blue (.json, .npy, .npz),
    the .npz of another face, or a panorama (.hdr, .png, .jpg). docs/render.md shows them.
    """
    from gcnface.batch.render import render

    return render(options)


def align(options: AlignOptions) -> int:
    """examples:
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
    """
    from gcnface.batch.align import align

    return align(options)


def track(options: TrackOptions) -> int:
    """examples:
      gcnface track clip.mp4 -o out/
      gcnface track 0 -o out/ --seconds 20
      gcnface track interview.mov -o out/ --all-faces --formats glb,csv

    what comes out for clip.mp4; of further faces NAME_face2, NAME_face3, ... with --all-faces:
      clip.glb          textured head, metres, animated: 52 blendshapes, rotation, translation; the camera
      clip.csv          a frame a line: pose, blendshapes, 68 points
      clip.npz          the same as arrays, and 468 points
      clip_overlay.mp4  the video with points and axes drawn; H.264 with gcnface[track], else what OpenCV has

    Ctrl-C ends a camera's recording, and its files are written; a file's tracking it breaks off, and nothing is.
    """
    from gcnface.tracking.command import track

    return track(options)


def flatten(options: FlattenOptions) -> int:
    """examples:
      gcnface flatten portrait.jpg -o out/
      gcnface flatten anna/*.jpg -o out/ --mean anna --size 512

    what comes out for portrait.jpg:
      portrait_flat.png     the photo's own colours, hidden parts transparent
    and with --mean anna:
      anna_mean.png         the mean over the photos that show a texel
      anna_mean_mask.png    the share of the photos that show it, white is all
    """
    from gcnface.batch.flatten import flatten_photos

    return flatten_photos(options)


def prepare(options: PrepareOptions) -> int:
    """examples:
      gcnface prepare people/ -o runs/faces --landmarks mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl
      gcnface prepare CelebA/ -o runs/celeba --workers 8

    layouts:
      photos     any folder with its subfolders; a photo in a subfolder shows the person of that name, any other one
                 a person of its own (or as --identities says)
      annotated  photos/, photos.csv, photos_landmarks.npz, photos_parsing/, and the same for synthetic/
      celeba     img_align_celeba/ or img_celeba/, Anno/, Eval/
      300w-lp    AFW/ HELEN/ IBUG/ LFPW/ and their _Flip with NAME.jpg and NAME.mat

    Interrupted, it goes on where it stopped when called again; called again later, it adds the photos that are new.
    """
    from gcnface.batch.progress import Reporter
    from gcnface.preparing.dataset import prepare

    reporter, report = Reporter(0, quiet=options.quiet, debug=options.debug), prepare(options)
    for line in report.text(options.output).splitlines():
        reporter.result(line)
    if not report.prepared:
        reporter.failure(f"no photo gave a face; {options.output / 'report.json'} says why", "")
    return 0 if report.prepared else 1


def evaluate(options: EvaluateOptions) -> int:
    """examples:
      gcnface evaluate people/ -o report/
      gcnface evaluate FACES --held-out --limit 20 -o report/ --methods coarse,projected,ours
      gcnface evaluate photos/ --people who.csv --groups ages.csv --completion 20 --relit 20 -o report/
      gcnface evaluate AFLW2000/ --protocol aflw2000 -o report/

    what comes out:
      index.html     the table and every photo in pictures, method by method; worst.html: the worst ten by each metric
      table.md       the tables: pictures, identity, consistency and cost, differences, splits by group
      table.json     the same with the values of every photo, settings and versions
      metrics.csv    one value a line: photo, person, method, metric, view, yaw_deg, network, gain, value

    usual methods: {methods}
    """
    from gcnface.evaluation.command import evaluate

    return evaluate(options)
