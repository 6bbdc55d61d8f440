"""Finds objects: python run.py IMAGE [OUT]. Needs numpy, opencv-python-headless and onnxruntime or openvino."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np

NETWORK, CONF, IOU = Path(__file__).with_name("network.onnx"), 0.25, 0.7


def open_network(path: Path) -> tuple:
    """Return what a network says of itself, whether it takes bytes, and a function from images to its outputs."""
    if path.suffix == ".onnx":
        session = __import__("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
        about = json.loads(session.get_modelmeta().custom_metadata_map["spikeyolo"])
        return about, session.get_inputs()[0].type == "tensor(uint8)", lambda x: session.run(None, {"images": x})
    if path.suffix == ".xml":
        sys.modules.update({"openvino_telemetry": None})  # type: ignore[dict-item] # it tells a server of each import
        model = __import__("openvino").Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        about = json.loads(path.with_name("spikeyolo.json").read_text())
        return about, model.inputs[0].element_type.size == 1, lambda x: list(model(x).values())
    network = __import__("reference").Network(path.parent)  # of a package for chips, which needs numpy alone
    about, times = network.manifest["artefact"], network.manifest["timesteps"]
    return about, True, lambda x: [v / times / 2.0 ** about["fraction_bits"] for v in network.run([x] * times)[0]]


def decode(logits: list[np.ndarray], strides: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes (A, 4) on the canvas and scores (A, classes) of logits (64 + classes, H, W) of each level."""
    boxes, scores = [], []
    for level, stride in zip(logits, strides, strict=True):
        points = np.mgrid[: level.shape[1], : level.shape[2]][::-1].reshape(2, -1) + 0.5  # x, y of the cells' centres
        bins = np.exp(level[:64] - level[:64].max(0)).reshape(4, 16, -1)
        ltrb = np.tensordot(np.arange(16), bins, (0, 1)) / bins.sum(1)  # expected distances to the four sides
        boxes.append(np.concatenate([points - ltrb[:2], points + ltrb[2:]]).T * stride)
        scores.append(1 / (1 + np.exp(-level[64:].reshape(len(level) - 64, -1).T)))
    return np.concatenate(boxes), np.concatenate(scores)


def detect(image: np.ndarray) -> list[tuple[str, float, list[float]]]:
    """Return name, score and box (left, top, right, bottom) of each object on an RGB image, best first."""
    about, bytes_in, run = open_network(NETWORK)
    if about["input"]["kind"] != "images" or about["streaming"]:
        raise ValueError("a network of recordings or streams; spikeyolo predict runs it")
    (rows, columns), (height, width) = image.shape[:2], about["size_hw"] or about["input"]["size_hw"]
    scale = min(height / rows, width / columns)
    new = max(round(columns * scale), 1), max(round(rows * scale), 1)
    left, top = (width - new[0]) // 2, (height - new[1]) // 2
    canvas = np.full((height, width, 3), 114, np.uint8)  # grey, the image in its middle
    resized = cv2.resize(image, new, interpolation=cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA)
    canvas[top : top + new[1], left : left + new[0]] = resized
    images = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None].repeat(about["batch"] or 1, 0))
    found = run(images if bytes_in else images.astype(np.float32) / 255)
    if about["outputs"] == "detections":
        boxes, scores, labels = found[:3]
    else:
        first = [value[0].astype(np.float64) for value in found]  # the other images of a batch are the same
        boxes, every = first if about["outputs"] == "boxes" else decode(first, about["strides"])
        scores, labels = every.max(1), every.argmax(1)
        sides = np.concatenate([boxes[:, :2] - boxes.min(), boxes[:, 2:] - boxes[:, :2]], 1)
        kept = cv2.dnn.NMSBoxesBatched(sides.tolist(), scores.tolist(), labels.tolist(), CONF, IOU)
        boxes, scores, labels = (values[np.array(kept, int)] for values in (boxes, scores, labels))
    boxes = ((boxes - [left, top] * 2) / ([new[0] / columns, new[1] / rows] * 2)).clip(0, [columns, rows] * 2)
    return list(zip([about["names"][label] for label in labels], scores.tolist(), boxes.tolist(), strict=True))


if __name__ == "__main__":
    try:
        source, out = [*sys.argv[1:], "boxes.png"][:2] if sys.argv[1:] else sys.exit(__doc__)
        loaded = cv2.imdecode(np.fromfile(source, np.uint8), cv2.IMREAD_COLOR)
        if loaded is None or (Path(out).exists() and Path(out).samefile(source)):
            raise ValueError(f"{source}: no image" if loaded is None else f"{out}: the image itself; name another")
        for name, score, box in detect(loaded[..., ::-1]):
            print(f"{name} {score:.3f} at {(at := list(map(round, box)))}")
            cv2.rectangle(loaded, at[:2], at[2:], (0, 200, 0), 2)
            cv2.putText(loaded, name, (at[0], max(at[1] - 4, 10)), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 200, 0))
        sys.exit(None if cv2.imwrite(out, loaded) else f"run.py: {out}: cannot be written")
    except Exception as error:
        sys.exit(f"run.py: {' '.join(str(error).split())}")
