"""Measuring detections: COCO's average precision, the Prophesee protocol, confusion matrix, curves, speed."""
