"""One pass through a network, from numbers to numbers: `ENGINE FILE`, and for MNN the names of the input and of the outputs.

ENGINE is `onnxruntime`, `openvino`, `ncnn`, `mnn` or `keras`. All of them calculate with 32-bit numbers.
"""

import sys

import numpy as np
from serve import serve


def onnxruntime(file):
    import onnxruntime as engine

    options = engine.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = engine.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda values: session.run(None, {name: values})


def openvino(file):
    import openvino as engine

    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
    }
    compiled = engine.compile_model(file, "CPU", options)
    request = compiled.create_infer_request()

    def run(values):
        # Without sharing, OpenVINO copies each input and output once more.
        results = request.infer([values], share_inputs=True, share_outputs=True)
        return [results[output] for output in compiled.outputs]

    return run


def ncnn(file):
    import ncnn as engine

    network = engine.Net()
    network.opt.num_threads = 1
    network.opt.use_fp16_packed = network.opt.use_fp16_storage = network.opt.use_fp16_arithmetic = False
    network.opt.use_bf16_storage = False
    if network.load_param(f"{file}.param") or network.load_model(f"{file}.bin"):
        raise SystemExit(f"ncnn refuses {file}")
    # The converter numbers the outputs in the order of the ONNX file.
    [input_name], output_names = network.input_names(), sorted(network.output_names())

    def run(values):
        extractor = network.create_extractor()
        extractor.input(input_name, engine.Mat(values[0]))
        return [np.array(extractor.extract(name)[1]) for name in output_names]

    return run


def mnn(file, input_name, *output_names):
    import MNN as engine

    runtime = engine.nn.create_runtime_manager(({"numThread": 1, "precision": "high", "backend": 0},))
    network = engine.nn.load_module_from_file(file, [input_name], list(output_names), runtime_manager=runtime)

    def run(values):
        picture = engine.expr.const(values, list(values.shape), engine.expr.NCHW)
        picture = engine.expr.convert(picture, engine.expr.NC4HW4)
        outputs = network.forward([picture])
        return [engine.expr.convert(output, engine.expr.NCHW).read() for output in outputs]

    return run


def keras(file):
    from keras_networks import mini_xception

    network = mini_xception(file)
    return lambda values: [network.predict(np.moveaxis(values, 1, -1), verbose=0)]


ENGINES = {engine.__name__: engine for engine in (onnxruntime, openvino, ncnn, mnn, keras)}


def main():
    engine, *arguments = sys.argv[1:]
    run = ENGINES[engine](*arguments)

    def answer(request, times):
        values = np.fromfile(request["values"], np.float32).reshape(request["shape"])
        for _ in range(request["runs"]):
            outputs = times.measure(run, values)
        np.concatenate([np.ravel(output) for output in outputs]).astype(np.float32).tofile(request["outputs"])
        return {"faces": []}

    serve(answer)


if __name__ == "__main__":
    main()
