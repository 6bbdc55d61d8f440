"""Every form of a network and every runtime, measured side by side."""
