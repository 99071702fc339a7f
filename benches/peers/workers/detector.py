"""Detectors of faces: `haar`, `blazeface-short`, `blazeface-full`, or `yunet FILE`."""

import sys

import cv2
from serve import corners, read_frame, serve


def haar():
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")

    def detect(bgr):
        return [corners(box) for box in cascade.detectMultiScale(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), 1.3, 5)]

    return detect


def blazeface(model_selection):
    import mediapipe

    detector = mediapipe.solutions.face_detection.FaceDetection(model_selection=model_selection)

    def detect(bgr):
        height, width = bgr.shape[:2]
        found = detector.process(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)).detections or []
        boxes = [detection.location_data.relative_bounding_box for detection in found]
        return [
            corners((width * box.xmin, height * box.ymin, width * box.width, height * box.height)) for box in boxes
        ]

    return detect


def yunet(file):
    detector = cv2.FaceDetectorYN.create(file, "", (320, 320))

    def detect(bgr):
        detector.setInputSize((bgr.shape[1], bgr.shape[0]))
        _, found = detector.detect(bgr)
        return [] if found is None else [corners(face[:4]) for face in found]

    return detect


DETECTORS = {
    "haar": haar,
    "blazeface-short": lambda: blazeface(0),
    "blazeface-full": lambda: blazeface(1),
    "yunet": yunet,
}


def main():
    name, *arguments = sys.argv[1:]
    cv2.setNumThreads(1)
    detect = DETECTORS[name](*arguments)

    def answer(request, times):
        return {"faces": [{"box": box} for box in times.measure(detect, read_frame(request))]}

    serve(answer)


if __name__ == "__main__":
    main()
