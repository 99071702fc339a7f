"""The logic that the authors released: OpenCV's cascade with their settings, one crop and one pass per face and network.

The first argument says what runs the networks, `keras` or `onnxruntime`. The others are the ONNX files of emotion and gender.
"""

import sys
from collections import deque

import cv2
import numpy as np
from serve import corners, read_frame, serve

SCALE_FACTOR, MIN_NEIGHBOURS = 1.3, 5
# By how many pixels the box grows on each side, in x and y.
EMOTION_OFFSETS, GENDER_OFFSETS = (20, 40), (30, 60)
SIDE_PX = 64
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
GENDERS = ("woman", "man")
# The label is the most frequent one of as many answers, of whichever face.
WINDOW = 10


def load_keras(file):
    from keras_networks import mini_xception

    network = mini_xception(file)
    return lambda picture: network.predict(picture.reshape(1, SIDE_PX, SIDE_PX, 1), verbose=0)[0]


def load_onnxruntime(file):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda picture: session.run(None, {name: picture.reshape(1, 1, SIDE_PX, SIDE_PX)})[0][0]


class Original:
    def __init__(self, emotion, gender):
        self.cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
        self.emotion, self.gender = emotion, gender
        self.emotions, self.genders = deque(maxlen=WINDOW), deque(maxlen=WINDOW)

    def process(self, bgr):
        gray = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
        faces = []
        for box in self.cascade.detectMultiScale(gray, SCALE_FACTOR, MIN_NEIGHBOURS):
            emotion_crop, gender_crop = crop(gray, box, EMOTION_OFFSETS), crop(gray, box, GENDER_OFFSETS)
            # A box that leaves the image on the left or above gives an empty crop, and the face is skipped.
            if emotion_crop.size == 0 or gender_crop.size == 0:
                continue
            self.emotions.append(EMOTIONS[np.argmax(self.emotion(scale(emotion_crop)))])
            self.genders.append(GENDERS[np.argmax(self.gender(scale(gender_crop)))])
            faces.append({"box": corners(box), "emotion": mode(self.emotions), "gender": mode(self.genders)})
        return faces


def crop(gray, box, offsets):
    x, y, width, height = box
    return gray[y - offsets[1] : y + height + offsets[1], x - offsets[0] : x + width + offsets[0]]


def scale(face):
    return (cv2.resize(face, (SIDE_PX, SIDE_PX)).astype(np.float32) / 255 - 0.5) * 2


def mode(labels):
    return max(labels, key=labels.count)


def main():
    engine, emotion, gender = sys.argv[1:]
    cv2.setNumThreads(1)
    load = {"keras": load_keras, "onnxruntime": load_onnxruntime}[engine]
    original = Original(load(emotion), load(gender))

    def answer(request, times):
        return {"faces": times.measure(original.process, read_frame(request))}

    serve(answer)


if __name__ == "__main__":
    main()
