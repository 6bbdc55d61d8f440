"""What users and strangers write as text: descriptions of data, annotations, labels, recipes, technologies, options."""

from __future__ import annotations

from tests.trust.harness import Case
from tests.trust.prepare import (
    BOMB,
    Prepare,
    all_of,
    black,
    coco,
    evil_module,
    holes,
    huge_everywhere,
    in_place_of_a_file,
    jpeg_claims,
    linked,
    lying_index,
    many_categories,
    pipe,
    run_of,
    tech,
    wrote,
)

CHECK, CHECK_COCO = "data check data.yaml", "data check coco.json"
VAL = "val --weights model.safetensors --workers 0 --data"
TRAIN = "train --data data.yaml --model t --imgsz 64 --epochs 1 --workers 0 --batch 2"
PREDICT = "predict --weights model.safetensors --source"
ENERGY = "energy --weights model.safetensors --data data.yaml --workers 0 --no-verify --technology tech.yaml"
SPLITS = "train: images/train\nval: images/val\n"
EVENTS = "format: prophesee\npath: events\ntrain: train\nval: val\n"
DEEP = "[" * 100_000

YAML = {
    "a list nested 100,000 deep": (f"names: {DEEP}", "nested more than 30 deep"),
    "a bomb of aliases": (BOMB, "more than 30,000 values"),
    "an alias within itself": ("names: &a [*a]", "*a stands within itself"),
    "a python object": ("names: !!python/object/apply:os.system ['touch ran']", "could not determine a constructor"),
    "an impossible date": ("names: [2024-13-45]", "'2024-13-45' is not a value"),
    "a number of 100,000 digits": ("nc: " + "9" * 100_000, "a number of 100,000 characters"),
    "infinite nc": (f"{SPLITS}names: [cat, dog, bird]\nnc: .inf", "nc: inf beside 3 names"),
    "a key given twice": ("train: a\ntrain: b", "the key 'train' is given twice"),
    "a list as a key": ("? [a]\n: b", "unhashable key"),
    "a key of 100,000 letters": ("x" * 1000 + ": 1", "unknown key 'xxx"),
    "keys that are numbers": ("1: 2", "unknown key 1"),
    "Latin-1": (b"names: [caf\xe9]", "cannot be read as YAML, in UTF-8"),
    "UTF-16": ("names: [a]".encode("utf-16"), "cannot be read as YAML, in UTF-8"),
    "a NUL": (b"names: [a\0]", "special characters are not allowed"),
    "an escape sequence": (b"names: [a\x1b[31m]", "special characters are not allowed"),
    "an image": (b"\xff\xd8\xff\xe0", "cannot be read as YAML, in UTF-8"),
    "nothing": (b"", "got no keys at all"),
    "a million names": (f"{SPLITS}names: [{'a,' * 1_000_000}]", "such a file has at most 1 MB"),
    "names that are mappings": (f"{SPLITS}names: [{{a: b}}]", "names: each must be one word"),
    "indices that are infinite": (f"{SPLITS}names: {{.inf: a}}", "names: the keys must be class indices"),
    "a path with a NUL": (f'{SPLITS}names: [a]\npath: "a\\0b"', "path: 'a\\x00b' cannot be a path"),
    "a path of 10,000 letters": (f"{SPLITS}names: [a]\npath: {'x' * 10_000}", "cannot be a path"),
    "a folder's name of 300 letters": (f"train: {'x' * 300}\nnames: [a]", "cannot be a path"),
    "a path of 1,000 folders": (f"train: {'a/' * 1000}\nnames: [a]", "no such folder or file a/a/a/"),
    "a path with an escape sequence": ('train: "a\\x1b[31mb"\nnames: [a]', "no such folder or file a\\x1b[31mb"),
    "a path that is a mapping": ("train: {a: b}\nnames: [a]", "train: expected a path, got {'a': 'b'}"),
    "a split that is a device": ("train: /dev/zero\nnames: [a]", "/dev/zero: cannot be read (a pipe or device"),
    "a split that is text in Latin-1": ("train: list.txt\nnames: [a]", "list.txt: cannot be read as text, in UTF-8"),
    "a split that lists a NUL": ("train: nul.txt\nnames: [a]", "nul.txt: line 1: 'a\\x00b.jpg' is not the name of an"),
    "a JSON that is a pipe": ("train_json: pipe.json", "pipe.json: cannot be read (a pipe or device"),
    "an error of a stranger's length": (f"format: {'x' * 5000}", "is not one of prophesee, rvt"),
}

COCO: dict[str, tuple[Prepare, str]] = {
    "nested 100,000 deep": (wrote("coco.json", DEEP), "cannot be read as JSON"),
    "a number of 10,000 digits": (wrote("coco.json", '{"a": ' + "9" * 10_000 + "}"), "cannot be read as JSON"),
    "Latin-1": (wrote("coco.json", b'{"a": "\xe9"}'), "cannot be read as JSON"),
    "a terabyte": (holes("coco.json", 10**12), "such a file has at most 2,000 MB"),
    "a pipe": (pipe("coco.json"), "a pipe or device"),
    "a list": (wrote("coco.json", "[]"), "no list 'images'"),
    "a null": (wrote("coco.json", "null"), "no list 'images'"),
    "images that are a mapping": (wrote("coco.json", '{"images": {}}'), "no list 'images'"),
    **{
        f"an image's id {value!r}": (coco("images", id=value), f"images: number 0: 'id' {shown} is not a whole number")
        for value, shown in (
            ([1], "[1]"),
            (None, "None"),
            (True, "True"),
            (-1, "-1"),
            (1.5, "1.5"),
            (float("inf"), "inf"),
            (10**30, "1" + "0" * 30),
        )
    },
    "an image without id": (coco("images", id=...), "'id' None is not"),
    **{
        f"a file_name {value!r}": (coco("images", file_name=value), f"'file_name' {shown} is not the name of a file")
        for value, shown in ((3, "3"), (None, "None"), ("", "''"), ("a\0b", "'a\\x00b'"), (["a"], "['a']"))
    },
    "a file_name of 10,000 letters": (coco("images", file_name="x" * 10_000), "is not the name of a file"),
    "a file_name of 300 letters": (coco("images", file_name="x" * 300), "is not the name of a file"),
    "a file_name of elsewhere": (coco("images", file_name="../../nowhere.jpg"), "nowhere.jpg', ...) are not near it"),
    "a file_name that is a device": (coco("images", file_name="/dev/zero"), "'/dev/zero', ...) are not near it"),
    "a height as text": (coco("images", height="tall"), "'height' 'tall' is not a number of pixels"),
    "a width that is infinite": (coco("images", width=float("inf")), "'width' inf is not a number of pixels"),
    "another height": (coco("images", height=1e8), "val0.jpg: coco.json says 64 x 1e+08, the image has 64 x 48"),
    **{
        f"image_id {value!r}": (coco("annotations", image_id=value), f"annotation 1: image_id {shown} is no image")
        for value, shown in (
            ([1], "[1]"),
            ({"a": 1}, "{'a': 1}"),
            (None, "None"),
            (float("inf"), "inf"),
            (float("nan"), "nan"),
            ("1", "'1'"),
            (-1, "-1"),
            (10**30, "1" + "0" * 30),
        )
    },
    **{
        f"category_id {value!r}": (
            coco("annotations", category_id=value),
            f"annotation 1: category_id {shown} is in no category",
        )
        for value, shown in (([1], "[1]"), (None, "None"), (-1, "-1"), (9, "9"), (float("inf"), "inf"), ("1", "'1'"))
    },
    **{
        f"bbox {value!r}": (coco("annotations", bbox=value), f"annotation 1: bbox {shown}")
        for value, shown in (
            ("1234", "'1234' is not [x, y, width, height]"),
            (None, "None is not [x, y, width, height]"),
            ([1, 2, 3], "[1, 2, 3] is not"),
            ([1, 2, 3, "4"], "[1, 2, 3, '4'] is not"),
            ([1, 2, 3, [4]], "[1, 2, 3, [4]] is not"),
            ([1, 2, 3, True], "[1, 2, 3, True] is not"),
            ([1, 2, 3, 1e300], "[1, 2, 3, 1e+300] is beyond any image"),
        )
    },
    **{
        f"area {value!r}": (coco("annotations", area=value), f"annotation 1: area {shown} is not a number of square")
        for value, shown in ((None, "None"), ("big", "'big'"), ([1], "[1]"), (-1, "-1"), (float("nan"), "nan"))
    },
    "bbox of 100 digits": (coco("annotations", bbox=[0, 0, 10**100, 1]), "is beyond any image"),
    "iscrowd as text": (coco("annotations", iscrowd="no"), "annotation 1: iscrowd 'no' is neither 0 nor 1"),
    "an annotation's id that is a list": (coco("annotations", id=[1], bbox=3), "annotation number 0: bbox 3 is not"),
    "a category's id as text": (coco("categories", id="one"), "categories: number 0: 'id' 'one' is not"),
    "a category's id that is infinite": (coco("categories", id=float("inf")), "categories: number 0: 'id' inf is not"),
    "a category's id below 0": (coco("categories", id=-1), "categories: number 0: 'id' -1 is not"),
    "a category's name that is a list": (coco("categories", name=["a"]), "'name' ['a'] is not text"),
    "20,001 categories": (many_categories, "categories: 20,001; there may be at most 20,000"),
    "a category without a name": (coco("categories", name=...), "'name' None is not text"),
}

LABELS: dict[str, tuple[Prepare, str]] = {
    "a gigabyte": (holes("labels/val/val0.txt", 10**9), "1,000.0 MB; such a file has at most 8 MB"),
    "200,000 rows": (wrote("labels/val/val0.txt", "0 0.5 0.5 0.4 0.4\n" * 200_000), "more than 100,000 lines"),
    "a pipe": (pipe("labels/val/val0.txt"), "val0.txt: cannot be read (a pipe or device"),
    "a folder": (in_place_of_a_file("labels/val/val0.txt"), "val0.txt: cannot be read (it is a folder)"),
    "a device": (linked("labels/val/val0.txt", "/dev/zero"), "val0.txt: cannot be read (a pipe or device"),
    "a line of 100,000 letters": (wrote("labels/val/val0.txt", "x" * 100_000), "holds something that is not a number"),
    "bytes": (wrote("labels/val/val0.txt", bytes(range(256))), "holds something that is not a number"),
    "a class that is infinite": (wrote("labels/val/val0.txt", "inf 0.5 0.5 0.4 0.4"), "class inf of 0..2"),
    "a class of 400 digits": (wrote("labels/val/val0.txt", "9" * 400 + " 0.5 0.5 0.4 0.4"), "of 0..2"),
    "an escape sequence": (wrote("labels/val/val0.txt", "\x1b[31m 1 2 3 4"), "'\\x1b[31m 1 2 3 4' holds"),
}

IMAGES: dict[str, tuple[Prepare, str]] = {
    "32,000 x 32,000 pixels": (black, "an image of 32000 x 32000 pixels; at most"),
    "a JPEG that claims 65,000 x 65,000": (jpeg_claims(65_000, 65_000), "an image of 65000 x 65000 pixels; at most"),
    "a terabyte": (holes("photo.jpg", 10**12), "such a file has at most 1,000 MB"),
    "a pipe": (pipe("photo.jpg"), "photo.jpg"),
    "nothing": (wrote("photo.jpg", b""), "an empty file, not an image"),
}

RECIPES: dict[str, tuple[str | bytes, str]] = {
    "a class path": ("augmentation: {class_path: os.system}", "augmentation.class_path: no such setting"),
    "a file to read": ("config: /etc/passwd", "config: no such setting"),
    "a python object": ("epochs: !!python/object/apply:os.system ['touch ran']", "could not determine a constructor"),
    "nested 100,000 deep": (DEEP, "nested more than 30 deep"),
    "a bomb": (BOMB, "more than 30,000 values"),
    "a list": ("[1, 2]", "expected lines of 'name: value'"),
    "NaN": ("lr: .nan", "lr: nan is not a number"),
    "infinity": ("clip: .inf", "clip: inf is not a number"),
    "a number beyond all": ("lr: 1e400", "lr: '1e400' is not a number"),
    "a date as a number": ("epochs: 2024-01-01", "epochs: datetime.date(2024, 1, 1) is not a whole number"),
    "an impossible date": ("epochs: 2024-02-31", "is not a value"),
    "a mapping as a number": ("epochs: {a: 1}", "epochs: {'a': 1} is not a whole number"),
    "a list as text": ("data: [a]", "data: ['a'] is not text"),
    "a value of 100,000 letters": (f"epochs: {'x' * 100_000}", "is not a whole number"),
    "a name of 100,000 letters": ("x" * 900 + ": 1", "no such setting"),
    "Latin-1": (b"data: caf\xe9", "cannot be read as YAML, in UTF-8"),
}

CONFIGS = {
    "precision: 99": ("precision: 99", "precision: 99 is not one of 32, bf16, fp16"),
    "model: 7": ("data: data.yaml\nmodel: 7", "model: '7' is neither a preset"),
    "epochs that are text": ("epochs: many", "epochs: 'many' is not a whole number"),
    "a seed of 25 digits": (f"seed: {'9' * 25}", "seed: 9999999999999999999999999 is outside 0..4,294,967,295"),
    "gains that are a list": ("gains: [1, 2]", "gains: [1, 2] must be a mapping"),
    "nested 100,000 deep": (DEEP, "nested more than 30 deep"),
    "a python object": ("epochs: !!python/object/apply:os.system ['touch ran']", "could not determine a constructor"),
    "a bomb": (BOMB, "more than 30,000 values"),
    "a NUL in data": ('data: "a\\0b"', "a"),
}

TECHNOLOGIES = {
    "infinite energy": (tech(ac_pj=".inf"), "ac_pj is inf, not a positive number"),
    "energy as text": (tech(mac_pj="much"), "mac_pj is 'much', not a positive number"),
    "energy that is a date": (tech(ac_pj="2024-01-01"), "ac_pj is datetime.date(2024, 1, 1), not a positive"),
    "a label that is a list": (tech(label="[a]"), "label is ['a'], not text"),
    "memory costs as text": (tech(sram_pj="{1: a, 2: b}"), "sram_pj of 1 bytes is 'a', not a positive number"),
    "memory sizes as text": (tech(sram_pj="{a: 1, b: 2}"), "sram_pj is not a mapping of at least two sizes"),
    "a python object": (wrote("tech.yaml", "!!python/object/apply:os.system [a]"), "could not determine a constructor"),
    "nested 100,000 deep": (wrote("tech.yaml", DEEP), "nested more than 30 deep"),
    "a pipe": (pipe("tech.yaml"), "'tech.yaml' is neither a file nor one of"),
    "a terabyte": (holes("tech.yaml", 10**12), "such a file has at most 1 MB"),
}

OPTIONS = {
    **{
        f"{VAL} data.yaml --device {device}": says
        for device, says in (
            ("meta", "device: 'meta' is not supported; name auto, cpu"),
            ("mps", "device: 'mps' is not supported"),
            ("xla", "device: 'xla' is not supported"),
            ("cpu:3", "device: 'cpu:3' is not supported"),
            ("9" * 5000, "is not supported; name auto"),
            ("''", "device: is empty"),
        )
    },
    f"{VAL} data.yaml --device cuda:99": "no GPU 99 on this machine",
    f"{VAL} data.yaml --workers 1000000": "workers: 1000000 is outside 0..1,024",
    f"{VAL} data.yaml --workers -1": "workers: -1 is below 0",
    f"{VAL} data.yaml --batch 1000000000": "batch: 1000000000 is outside 1..65,536",
    f"{VAL} data.yaml --batch 0": "batch: 0 is below 1",
    f"{VAL} data.yaml --imgsz 320000": "imgsz: 320000 is outside 32..8,192",
    f"{VAL} data.yaml --imgsz -64": "imgsz: -64 is not a multiple of 32",
    f"{VAL} data.yaml --conf 2": "conf: 2.0 is outside 0..1",
    f"{VAL} data.yaml --max-det 1000000000": "max_det: 1000000000 is outside 1..100,000",
    f"{VAL} data.yaml --preparation nosuch": "preparation",
    f"{VAL} data.yaml --preparation counts": "preparation",
    f"{VAL} ''": "data: is empty",
    f"{PREDICT} photo.jpg --imgsz 320000": "imgsz: 320000 is outside 32..8,192",
    f"{PREDICT} photo.jpg --batch 1000000000": "batch: 1000000000 is outside 1..65,536",
    f"{PREDICT} photo.jpg --preparation nosuch": "preparation",
    f"{PREDICT} ''": "source: is empty",
    f"{TRAIN} --timesteps 1000000": "timesteps: 1000000 is outside 1..1,000",
    f"{TRAIN} --max-count 1000000": "max_count: 1000000 is outside 1..63",
    f"{TRAIN} --seed {'9' * 25}": "seed: 9999999999999999999999999 is outside",
    f"{TRAIN} --gains.box -1": "gains.box: -1.0 is below 0",
    f"{TRAIN} --gains.box 1e9": "gains.box: 1000000000.0 is outside",
    f"{TRAIN} --cache-mb 1e9": "cache_mb: 1000000000.0 is outside 0..10,000,000",
    f"{TRAIN} --workers -1": "workers: -1 is below 0",
    f"{TRAIN} --processes 0": "processes: 0 is below 1",
    f"{TRAIN} --processes 1000000": "processes: 1000000 is outside 1..1,024",
    f"{TRAIN} --epochs -1": "epochs: -1 is below 1",
    f"{TRAIN} --epochs 1000000000000": "epochs: 1000000000000 is outside",
    f"{TRAIN} --batch auto --device cpu": "batch: auto looks for what fits into a GPU's memory",
    f"{TRAIN} --device meta": "device: 'meta' is not supported",
    f"{TRAIN} --nominal-batch 0": "nominal_batch: 0 is below 1",
    f"{TRAIN} --augmentation.scale 7": "augmentation.scale: 7.0 is outside 0..0.99",
    f"{CHECK} --images 0": "images: 0 is below 1",
    f"{CHECK} --images 1000000": "images: 1000000 is outside 1..1,024",
    "data check ''": "data: is empty",
    f"{ENERGY} --batch -1": "batch: -1 is below 1",
    f"{ENERGY} --workers -1": "workers: -1 is below 0",
    f"{ENERGY} --processes 0": "processes: 0 is below 1",
    f"{ENERGY} --processes -1": "processes: -1 is below 1",
    f"{ENERGY} --technology small": "technology: 'small' is neither a file nor one of",
}

NOT_NUMBERS = [
    Case(f"an option that is {value}: {option}", f"{TRAIN} --{option} {value}", f"'{value}' is not a number", code=2)
    for option in ("lr", "final-lr", "momentum", "weight-decay", "clip", "ema-ramp", "warmup-epochs", "save-minutes")
    for value in ("nan", "inf")
] + [
    Case(f"an option that is nan: {option}", f"{TRAIN} --{option} nan", "'nan' is not a number", code=2)
    for option in ("gains.box", "gains.classes", "augmentation.hue", "augmentation.mosaic", "cache-mb", "conf", "iou")
]

HELPERS = all_of(wrote("list.txt", b"caf\xe9.jpg"), wrote("nul.txt", b"a\0b.jpg"), pipe("pipe.json"))

CASES = [
    *(
        Case(f"data.yaml: {name}", CHECK, says, p)
        for name, (content, says) in YAML.items()
        for p in [all_of(HELPERS, wrote("data.yaml", content))]
    ),
    Case("data.yaml: a pipe", CHECK, "data.yaml: cannot be read (a pipe or device", pipe("data.yaml")),
    Case("data.yaml: a device", CHECK, "data.yaml: cannot be read (a pipe", linked("data.yaml", "/dev/zero")),
    Case("data.yaml: a folder", CHECK, "data.yaml: is a folder", in_place_of_a_file("data.yaml")),
    Case("data.yaml: a terabyte", CHECK, "such a file has at most 1 MB", holes("data.yaml", 10**12)),
    Case("data.yaml: a link that goes round", CHECK, "data.yaml: cannot be read", linked("data.yaml", "data.yaml")),
    Case("data.yaml: a bomb, to train on", TRAIN, "more than 30,000 values", wrote("data.yaml", BOMB)),
    Case(
        "events.yaml: infinite sensor",
        "events info events/events.yaml",
        "sensor_size_hw",
        wrote("events/events.yaml", EVENTS.replace("events", ".") + "names: [a]\nsensor_size_hw: [.inf, 3]"),
    ),
    *(Case(f"COCO: {name}", CHECK_COCO, ("coco.json", says), p) for name, (p, says) in COCO.items()),
    Case("COCO: image_id a list, val", f"{VAL} coco.json", "image_id [1] is no", coco("annotations", image_id=[1])),
    Case("COCO: area null, val", f"{VAL} coco.json", "area None is not", coco("annotations", area=None)),
    Case(
        "COCO: bbox NaN, val",
        f"{VAL} coco.json",
        "coco.json, val: no boxes",
        coco("annotations", bbox=[float("nan")] * 4),
    ),
    Case(
        "COCO: a segmentation of anything",
        CHECK_COCO,
        "2 images",
        coco("annotations", segmentation={"counts": [[[[]]]], "size": "x" * 9999}),
        code=0,
    ),
    *(Case(f"labels: {name}", CHECK, ("val0.txt: ", says), p) for name, (p, says) in LABELS.items()),
    *(Case(f"an image: {name}", f"{PREDICT} photo.jpg", says, p) for name, (p, says) in IMAGES.items()),
    Case("images of 32,000 x 32,000 pixels alone", CHECK, "no usable image", huge_everywhere),
    *(
        Case(f"a recipe: {name}", f"{TRAIN} --config recipe.yaml", ("recipe.yaml: ", says), p, code=2)
        for name, (content, says) in RECIPES.items()
        for p in [wrote("recipe.yaml", content)]
    ),
    Case("a recipe: a module beside it", f"{TRAIN} --config recipe.yaml", "class_path: no such", evil_module, code=2),
    Case(
        "a recipe: a pipe", f"{TRAIN} --config recipe.yaml", "'recipe.yaml', and no such", pipe("recipe.yaml"), code=2
    ),
    Case("a recipe: a folder", f"{TRAIN} --config images", "no file 'images', and no such recipe", code=2),
    Case(
        "a recipe: a folder of its name beside it",
        f"{TRAIN} --config small --epochs 0",
        "epochs: 0 is below 1",
        lambda folder: (folder / "small").mkdir(),
    ),
    Case("a recipe: no such", f"{TRAIN} --config {'x' * 5000}", "and no such recipe", code=2),
    Case("options of val: a python object", f"{VAL} data.yaml --config notes.txt", "notes.txt: expected lines", code=2),
    *(
        Case(f"config.yaml of a run: {name}", "train --resume run", says, run_of(content))
        for name, (content, says) in CONFIGS.items()
    ),
    Case(
        "config.yaml of a run: a pipe",
        "train --resume run",
        "run is no folder of a run",
        all_of(lambda folder: (folder / "run").mkdir(), pipe("run/config.yaml")),
    ),
    *(Case(f"a technology: {name}", ENERGY, says, p) for name, (p, says) in TECHNOLOGIES.items()),
    *(Case(f"options: {words.split()[0]} ... {words[-40:]}", words, says, tech()) for words, says in OPTIONS.items()),
    *NOT_NUMBERS,
    Case("an index that lies", f"{VAL} data.yaml", "AP50", lying_index, 0, (".spikeyolo_cache/data.yaml-val.npz",)),
]
