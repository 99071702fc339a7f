"""mini-Xception in Keras, with the weights of an ONNX file of this project.

Architecture: Arriaga, Ploger, Valdenegro (2017), arXiv:1710.07557. Two convolutions, four modules of two separable convolutions
and a max-pool beside a 1x1 convolution, one more convolution, and the mean.
"""

import keras
import numpy as np
import onnx
import tensorflow as tf
from keras import layers

EPSILON = 1e-3
MODULE_FILTERS = (16, 32, 64, 128)


def mini_xception(file):
    """The network for pictures of 64x64x1 from -1 to 1."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    network = onnx.load(file)
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in network.graph.initializer}
    image = keras.Input((64, 64, 1))
    x = image
    for number in (1, 2):
        x = layers.Conv2D(8, 3, use_bias=False, name=f"conv_{number}")(x)
        x = layers.ReLU()(normalized(x, f"batch_norm_{number}"))
    for number, filters in enumerate(MODULE_FILTERS, 1):
        x = module(x, filters, f"module_{number}")
    x = layers.Conv2D(len(weights["conv_3.bias"]), 3, padding="same", name="conv_3")(x)
    model = keras.Model(image, layers.Softmax()(layers.GlobalAveragePooling2D()(x)))
    for layer in model.layers:
        set_weights(layer, weights)
    return model


def module(x, filters, name):
    shortcut = layers.Conv2D(filters, 1, strides=2, use_bias=False, name=key(f"{name}/shortcut/conv_1"))(x)
    shortcut = normalized(shortcut, f"{name}/shortcut/batch_norm_1")
    for number in (1, 2):
        separable = key(f"{name}/main/separable_conv_{number}")
        x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=separable)(x)
        x = normalized(x, f"{name}/main/batch_norm_{number}")
        if number == 1:
            x = layers.ReLU()(x)
    return layers.Add()([layers.MaxPooling2D(3, strides=2, padding="same")(x), shortcut])


def normalized(x, name):
    return layers.BatchNormalization(epsilon=EPSILON, name=key(name))(x)


def key(name):
    """Keras allows no slash in the name of a layer."""
    return name.replace("/", ".")


def set_weights(layer, weights):
    name = layer.name.replace(".", "/")
    if isinstance(layer, layers.BatchNormalization):
        layer.set_weights([weights[f"{name}.{part}"] for part in ("scale", "bias", "mean", "variance")])
    elif isinstance(layer, layers.SeparableConv2D):
        depthwise, pointwise = weights[f"{name}/depthwise.weight"], weights[f"{name}/pointwise.weight"]
        layer.set_weights([np.transpose(depthwise, (2, 3, 0, 1)), np.transpose(pointwise, (2, 3, 1, 0))])
    elif isinstance(layer, layers.Conv2D):
        bias = [weights[f"{name}.bias"]] if layer.use_bias else []
        layer.set_weights([np.transpose(weights[f"{name}.weight"], (2, 3, 1, 0)), *bias])
