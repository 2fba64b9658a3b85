#!/usr/bin/env python3
"""A teacher and the network made of it, side by side in the programs that people deploy with.

usage: deployment.py MFI TEACHER HYBRID [--rounds N] [--seconds S]       (needs onnxruntime, openvino and numpy)

TEACHER, HYBRID: model files, as runs/NAME/teacher/model.safetensors. Both are exported to ONNX and run in ONNX Runtime and
OpenVINO, and as they are by `mfi bench eval`; with one thread and two, batches of 1 and of 64. In each round all take turns.
float32 throughout, but for the lines that say bf16. Prints a table of medians in Markdown.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import openvino

THREADS, BATCHES = (1, 2), (1, 64)


def seconds_per_batch(work, seconds):
    for _ in range(3):
        work()
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def onnx_runtime(file, images, threads, seconds):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return seconds_per_batch(lambda: session.run(None, {"images": images}), seconds)


def open_vino(precision):
    def measure(file, images, threads, seconds):
        core = openvino.Core()
        model = core.read_model(str(file))
        model.reshape({"images": list(images.shape)})
        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision}
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        return seconds_per_batch(lambda: request.infer({"images": images}), seconds)

    return measure


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mfi", type=Path)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("hybrid", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    a = parser.parse_args()
    models = {"teacher": a.teacher, "hybrid": a.hybrid}
    random = np.random.default_rng(0)
    times = {}
    with tempfile.TemporaryDirectory() as temporary:
        files = {name: Path(temporary) / f"{name}.onnx" for name in models}
        for name, model in models.items():
            run(a.mfi, "export", model, "--out", files[name])
        facts = onnxruntime.InferenceSession(str(files["teacher"])).get_modelmeta().custom_metadata_map
        size = json.loads(facts["mfi.preprocessing"])["image_size"]

        def mfi(precision):
            def measure(name, batch, threads):
                out = run(a.mfi, "bench", "eval", "--model", models[name], "--batch", batch, "--threads", threads,
                          "--precision", precision, "--seconds", a.seconds)
                return batch / json.loads(out)["images_per_s"]

            return measure

        def engine(work):
            images = {batch: random.standard_normal((batch, 3, size, size), np.float32) for batch in BATCHES}
            return lambda name, batch, threads: work(files[name], images[batch], threads, a.seconds)

        engines = {"ONNX Runtime": engine(onnx_runtime), "OpenVINO": engine(open_vino("f32")), "mfi": mfi("fp32"),
                   "OpenVINO, bf16": engine(open_vino("bf16")), "mfi, bf16": mfi("bf16")}
        for _ in range(a.rounds):
            for threads in THREADS:
                for batch in BATCHES:
                    for program, measure in engines.items():
                        for name in models:
                            times.setdefault((program, threads, batch, name), []).append(measure(name, batch, threads))
    print("| program | threads | batch | teacher, ms | hybrid, ms | hybrid, images/s | teacher : hybrid |")
    print("|---|---|---|---|---|---|---|")
    for program in engines:
        for threads in THREADS:
            for batch in BATCHES:
                teacher, hybrid = (1e3 * statistics.median(times[program, threads, batch, name]) for name in models)
                print(f"| {program} | {threads} | {batch} | {teacher:.3g} | {hybrid:.3g} | {1e3 * batch / hybrid:,.0f} | "
                      f"{teacher / hybrid:.2f} |")


if __name__ == "__main__":
    main()
