"""``gcnface prepare``."""

from __future__ import annotations

from gcnface.options import PrepareOptions

EPILOG = """\
examples:
  gcnface prepare people/ -o runs/faces --landmarks mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl
  gcnface prepare CelebA/ -o runs/celeba --workers 8

layouts:
  photos     any folder with its subfolders; a photo in a subfolder shows the person of that name, any other one
             a person of its own (or as --identities says)
  annotated  photos/, photos.csv, photos_landmarks.npz, photos_parsing/, and the same for synthetic/
  celeba     img_align_celeba/ or img_celeba/, Anno/, Eval/
  300w-lp    AFW/ HELEN/ IBUG/ LFPW/ and their _Flip with NAME.jpg and NAME.mat

Interrupted, it goes on where it stopped when called again; called again later, it adds the photos that are new.
exit status: 0 done; 1 it could not be done, or no photo gave a face; 2 wrong usage
"""


def run(options: PrepareOptions) -> int:
    """Prepare the faces and say what came of it; the exit status."""
    from gcnface.batch.progress import Reporter
    from gcnface.preparing.dataset import prepare

    reporter, report = Reporter(0, quiet=options.quiet, debug=options.debug), prepare(options)
    for line in report.text(options.output).splitlines():
        reporter.result(line)
    if not report.prepared:
        reporter.failure(f"no photo gave a face; {options.output / 'report.json'} says why", "")
    return 0 if report.prepared else 1
