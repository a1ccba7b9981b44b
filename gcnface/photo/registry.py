"""The detectors by name: a row adds one. Nothing heavy is imported, so that help can list them."""

DETECTORS = {
    "joint": "gcnface.photo.joint:JointDetector",
    "yunet": "gcnface.photo.yunet:YunetDetector",
    "mtcnn": "gcnface.photo.mtcnn:MtcnnDetector",
}
"""Classes by name, as "module:class"; made without arguments. The first is the usual one."""

USUAL_DETECTOR = next(iter(DETECTORS))
