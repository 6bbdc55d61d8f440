"""Images with boxes: descriptions in YOLO and COCO layout, scanning, augmenting and batching."""
