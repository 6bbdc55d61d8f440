"""The network and the detector around it: blocks, backbone, neck, head, presets, and the forms it can take."""
